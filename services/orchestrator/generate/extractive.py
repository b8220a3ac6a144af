"""The extractive generator: answers with sentences quoted from the passages, chosen by Triton's `extract` model."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import grpc
import numpy as np

from services.orchestrator import metrics
from services.orchestrator.generate.generator import Context, NoAnswer, Piece, Tokens
from services.orchestrator.rag.retriever import Passage
from services.orchestrator.runs.events import Citation, Span
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


class ExtractiveGenerator:
    """Quotes. Each piece is one sentence with its citation."""

    name = "extractive"

    def __init__(self, triton: TritonClient, timeout: float) -> None:
        self._triton = triton
        self._timeout = timeout

    async def generate(self, context: Context) -> AsyncGenerator[Piece | NoAnswer | Tokens, None]:
        sentences = [Sentence(passage, span) for passage in context.found.passages for span in passage.sentences]
        if not sentences:
            yield NoAnswer(0.0)
            return
        request = _request(context, sentences)
        timeout = min(self._timeout, current().remaining)
        last: Extracted | None = None
        try:
            async with aclosing(self._triton.extract(request, timeout=timeout)) as extracted:
                async for last in extracted:
                    if last.sentence is None:
                        yield NoAnswer(last.confidence)
                    else:
                        chosen = sentences[last.sentence]
                        yield Piece(chosen.text, chosen.citation)
        except TritonError as error:
            raise ExtractionFailed("the extract model failed on this question") from error
        except grpc.aio.AioRpcError as error:
            raise statuses.from_rpc_error(error) from error
        if last is None:
            raise ExtractionFailed("the extract model answered nothing")
        metrics.CONFIDENCE.observe(last.confidence)
        yield Tokens(last.tokens_read, last.tokens_written)


def _request(context: Context, sentences: list[Sentence]) -> ExtractRequest:
    passages = context.found.passages
    return ExtractRequest(
        question=context.question,
        query_vector=context.found.query_vector,
        sentences=[sentence.text for sentence in sentences],
        sentence_vectors=np.concatenate([passage.vectors for passage in passages]),
        passage=np.repeat(np.arange(len(passages), dtype=np.int32), [len(passage.sentences) for passage in passages]),
        passage_scores=np.array([(passage.dense, passage.lexical) for passage in passages], dtype=np.float32),
        max_sentences=context.max_sentences,
    )
