"""The sentences of what was found, as they are chosen from: to be quoted, or to be read by a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from services.orchestrator.domain.event import Citation, Span
from services.orchestrator.domain.passage import Found, Passage
from services.orchestrator.rag.quotes import QuoteQuestion, QuoteSource


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


def led(lead: str, text: str) -> str:
    """A text after its lead."""
    return f"{lead}: {text}" if lead else text


def passage_sentences(found: Found) -> list[PassageSentence]:
    """In the order of the passages, and within them in that of the text."""
    return [
        PassageSentence(passage, span, " ".join(passage.text[span.start : span.end].split()), lead)
        for passage in found.passages
        for span, lead in passage.led_sentences
    ]


def question_on(text: str, found: Found, sentences: Sequence[PassageSentence], max_sentences: int) -> QuoteQuestion:
    """The question with what may answer it; `sentences` are those of what was found."""
    passages = found.passages
    embedded = any(passage.cosines for passage in passages)
    # One of several collections may have been searched without the embedder: its sentences are near to nothing.
    cosines = [passage.cosines or (0.0,) * len(passage.sentences) for passage in passages] if embedded else ()
    return QuoteQuestion(
        text=text,
        sentences=[led(sentence.lead, sentence.text) for sentence in sentences],
        cosines=np.fromiter(chain.from_iterable(cosines), np.float32),
        passage=np.repeat(np.arange(len(passages), dtype=np.int32), [len(passage.sentences) for passage in passages]),
        passage_scores=np.array([(passage.dense, passage.lexical) for passage in passages], dtype=np.float32),
        max_sentences=max_sentences,
        trust=found.trust,
        sources=[QuoteSource(passage.document_id, passage.title, " ".join(passage.headings)) for passage in passages],
    )
