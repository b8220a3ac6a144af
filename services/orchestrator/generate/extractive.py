"""The extractive generator: answers with sentences quoted from the passages."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from services.llm.chat import Message
from services.llm.generation import Calls, Ended, Finish, Generation, Piece, TokenCounts
from services.llm.tokens import estimate_prompt
from services.orchestrator import metrics
from services.orchestrator.domain.event import Citation, Span
from services.orchestrator.domain.passage import Found, Passage
from services.orchestrator.domain.tool import Declaration
from services.orchestrator.rag.quotes import QuoteQuestion, QuoteSource, choose
from services.runtime.language.markdown import FENCE, plain


@dataclass(frozen=True, slots=True)
class PassageSentence:
    """A sentence of a passage; `span` is in the passage's text. Its own text has its lines joined; `lead` is what it is
    to be read after, "" for nothing."""

    passage: Passage
    span: Span
    text: str
    lead: str = ""

    @property
    def raw(self) -> str:
        """With its lead, and the lines as they are in the document."""
        return led(self.lead, self.passage.text[self.span.start : self.span.end])

    @property
    def citation(self) -> Citation:
        return self.passage.cite(self.span, self.text)


SEPARATOR, CODE_SEPARATOR = " ", "\n"


class ExtractiveGenerator:
    """Quotes what was found, without Markdown's marks; code keeps its lines and its fences. Each piece is one sentence
    with its citation, a space before all but the first, or a new line where code ends. Below `threshold`, a confidence
    from 0 to 1, it finds no answer."""

    name = "extractive"

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold

    async def count(self, messages: Sequence[Message], tools: Sequence[Declaration] = ()) -> int:
        """An estimate: it reads sentences, not prompts."""
        return estimate_prompt(message.content for message in messages)

    async def generate(self, generation: Generation) -> AsyncGenerator[Piece | Calls | Ended, None]:
        found = generation.found or Found(())
        sentences = [sentence for passage in found.passages for sentence in _sentences(passage)]
        if not sentences:
            yield Ended(Finish.NO_ANSWER, TokenCounts(), 0.0)
            return
        answer = choose(_question(generation, found, sentences), self._threshold)
        separator = ""
        for place, _ in answer.chosen:
            text = plain(sentences[place].raw)
            yield Piece(f"{separator}{text}", sentences[place].citation)
            separator = CODE_SEPARATOR if text.endswith(FENCE) else SEPARATOR
        metrics.CONFIDENCE.observe(answer.confidence)
        finish = Finish.STOP if answer.chosen else Finish.NO_ANSWER
        yield Ended(finish, TokenCounts(answer.tokens_read, answer.tokens_written), answer.confidence)


def led(lead: str, text: str) -> str:
    """A text after its lead."""
    return f"{lead}: {text}" if lead else text


def _sentences(passage: Passage) -> list[PassageSentence]:
    leads = passage.leads or ("",) * len(passage.sentences)
    return [
        PassageSentence(passage, span, " ".join(passage.text[span.start : span.end].split()), lead)
        for span, lead in zip(passage.sentences, leads, strict=True)
    ]


def _question(generation: Generation, found: Found, sentences: Sequence[PassageSentence]) -> QuoteQuestion:
    passages = found.passages
    embedded = any(passage.cosines for passage in passages)
    # One of several collections may have been searched without the embedder: its sentences are near to nothing.
    cosines = [passage.cosines or (0.0,) * len(passage.sentences) for passage in passages] if embedded else ()
    return QuoteQuestion(
        text=generation.messages[-1].content.strip(),
        sentences=[led(sentence.lead, sentence.text) for sentence in sentences],
        cosines=np.fromiter(chain.from_iterable(cosines), np.float32),
        passage=np.repeat(np.arange(len(passages), dtype=np.int32), [len(passage.sentences) for passage in passages]),
        passage_scores=np.array([(passage.dense, passage.lexical) for passage in passages], dtype=np.float32),
        max_sentences=generation.max_sentences,
        trust=found.trust,
        sources=[QuoteSource(passage.document_id, passage.title, " ".join(passage.headings)) for passage in passages],
    )
