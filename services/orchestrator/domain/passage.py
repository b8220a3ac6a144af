"""What the pipeline needs of retrieval."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from services.orchestrator.domain.document_filter import DocumentFilter
from services.orchestrator.domain.event import Citation, Span, Timing


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage found.

    `start` is the place of its text in its document. `sentences` are ranges in `text`; `cosines` those of the sentences
    with the question, none where it was not embedded; `leads` what each is to be read after, "" for nothing, none where
    none needs it. `page` counts from 1, 0 for none. `shown`: what a model reads of it, where that is less than
    its text; "" for nothing. `dense` is the passage's own cosine, `lexical` a BM25 score; NaN where a signal did not
    find the passage.
    """

    id: str
    document_id: str
    title: str
    uri: str
    text: str
    start: int
    score: float
    dense: float = float("nan")
    lexical: float = float("nan")
    sentences: tuple[Span, ...] = ()
    cosines: tuple[float, ...] = ()
    leads: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    page: int = 0
    shown: str | None = None

    @property
    def led_sentences(self) -> Iterator[tuple[Span, str]]:
        """Each sentence, and what it is to be read after."""
        return zip(self.sentences, self.leads or ("",) * len(self.sentences), strict=True)

    @property
    def reading(self) -> str:
        """What a model reads of it."""
        return self.text if self.shown is None else self.shown

    def cite(self, span: Span, quote: str) -> Citation:
        """A citation of a range of its text, as `quote` has it."""
        source = Span(self.start + span.start, self.start + span.end)
        return Citation(self.document_id, self.title, self.uri, self.id, source, quote, self.page)


@dataclass(frozen=True, slots=True)
class Found:
    """Passages, best first. `degraded`: the embedder was gone, and they were found by their words alone. `trust`: 0 to
    1, how far the embedder speaks the question's language; None where that is not known. `not_reranked`: that was asked
    for, and the reranker was gone."""

    passages: tuple[Passage, ...]
    timings: tuple[Timing, ...] = ()
    degraded: bool = False
    trust: float | None = None
    not_reranked: bool = False


class Retriever(Protocol):
    """Finds passages in a collection of the present caller's, of documents that pass a filter; `rerank` of the best are
    reranked. Raises DomainErrors."""

    async def search(
        self, collection: str, question: str, limit: int, only: DocumentFilter, rerank: int = 0
    ) -> Found: ...
