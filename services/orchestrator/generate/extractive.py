"""The extractive generator: answers with sentences quoted from the passages, chosen by Triton's `extract` model."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import grpc
import numpy as np

from services.llm.chat import Message
from services.llm.generation import Calls, Ended, Finish, Generation, Piece, Tokens
from services.orchestrator import metrics
from services.orchestrator.rag.retriever import Found, Passage
from services.orchestrator.runs.events import Citation, Span
from services.orchestrator.tools.tool import Declaration
from services.runtime import statuses
from services.runtime.call import current
from services.runtime.errors import DomainError, Kind
from services.runtime.triton import Extracted, ExtractRequest, TritonClient, TritonError


class ExtractionFailed(DomainError):
    kind = Kind.INTERNAL
    reason = "EXTRACTION_FAILED"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a passage; `span` is in the passage's text. Its own text has its lines joined."""

    passage: Passage
    span: Span

    @property
    def text(self) -> str:
        return " ".join(self.passage.text[self.span.start : self.span.end].split())

    @property
    def citation(self) -> Citation:
        passage = self.passage
        span = Span(passage.start + self.span.start, passage.start + self.span.end)
        return Citation(passage.document_id, passage.title, passage.uri, passage.id, span, self.text)


SEPARATOR = " "


class ExtractiveGenerator:
    """Quotes what was found. Each piece is one sentence with its citation, a space before all but the first."""

    name = "extractive"

    def __init__(self, triton: TritonClient, timeout: float) -> None:
        self._triton = triton
        self._timeout = timeout

    async def count(self, messages: Sequence[Message], tools: Sequence[Declaration] = ()) -> int:
        """An estimate: it reads sentences, not prompts."""
        return sum(len(message.content) for message in messages) // 4

    async def generate(self, generation: Generation) -> AsyncGenerator[Piece | Calls | Ended, None]:
        found = generation.found or Found(())
        sentences = [Sentence(passage, span) for passage in found.passages for span in passage.sentences]
        if not sentences:
            yield Ended(Finish.NO_ANSWER, Tokens(), 0.0)
            return
        timeout = min(self._timeout, current().remaining)
        last: Extracted | None = None
        separator = ""
        try:
            request = _request(generation, found, sentences)
            async with aclosing(self._triton.extract(request, timeout=timeout)) as extracted:
                async for last in extracted:
                    if last.sentence is not None:
                        chosen = sentences[last.sentence]
                        yield Piece(separator + chosen.text, chosen.citation)
                        separator = SEPARATOR
        except TritonError as error:
            raise ExtractionFailed("the extract model failed on this question") from error
        except grpc.aio.AioRpcError as error:
            raise statuses.from_rpc_error(error) from error
        if last is None:
            raise ExtractionFailed("the extract model answered nothing")
        metrics.CONFIDENCE.observe(last.confidence)
        finish = Finish.STOP if separator else Finish.NO_ANSWER
        yield Ended(finish, Tokens(last.tokens_read, last.tokens_written), last.confidence)


def _request(generation: Generation, found: Found, sentences: list[Sentence]) -> ExtractRequest:
    passages = found.passages
    return ExtractRequest(
        question=generation.messages[-1].content.strip(),
        query_vector=found.query_vector,
        sentences=[sentence.text for sentence in sentences],
        sentence_vectors=np.concatenate([passage.vectors for passage in passages]),
        passage=np.repeat(np.arange(len(passages), dtype=np.int32), [len(passage.sentences) for passage in passages]),
        passage_scores=np.array([(passage.dense, passage.lexical) for passage in passages], dtype=np.float32),
        max_sentences=generation.max_sentences,
    )
