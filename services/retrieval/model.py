"""The domain's own words: collections, documents, passages, queries and what comes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Span = tuple[int, int]
Vector = npt.NDArray[np.float32]
WIDTH = 384
DEFAULT_MAX_CHARS = 1200
# The way in which documents are read and indexed. One of an earlier way is read anew when it is sent again.
READING = 3


@dataclass(frozen=True, slots=True)
class CollectionKey:
    """A collection's name within its tenant. To an engine it names one generation of the collection's index, from 0 on;
    to everybody else `generation` means nothing."""

    tenant: str
    collection: str
    generation: int = 0

    def at(self, generation: int) -> "CollectionKey":
        return replace(self, generation=generation)

    @property
    def whole(self) -> "CollectionKey":
        """The collection, whatever the generation."""
        return self.at(0) if self.generation else self


@dataclass(frozen=True, slots=True)
class Index:
    """A generation of a collection's index: the name of the embedder whose vectors it has, the longest passage."""

    key: CollectionKey
    embedder: str
    max_chars: int


@dataclass(frozen=True, slots=True)
class Move:
    """A collection under way to another embedder: documents that are there already; what holds it up, or ""."""

    embedder: str
    document_count: int
    waiting: str = ""


# The groups of a caller, against which access lists are held; None for one whom no list excludes.
Groups: TypeAlias = tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: somebody of a tenant, who is in these groups."""

    tenant: str
    groups: Groups


@dataclass(frozen=True, slots=True)
class Collection:
    """A named set of documents; `max_chars` is the longest passage, `embedder` the name of what makes its vectors.
    `outdated_count`: documents of an earlier reading, whose terms are not all that queries look for.

    `broken`: why its data cannot be read, or "". Then nothing else is known of it but its name.
    """

    name: str
    max_chars: int = 0
    create_time: datetime | None = None
    document_count: int = 0
    passage_count: int = 0
    broken: str = ""
    embedder: str = ""
    move: Move | None = None
    outdated_count: int = 0


@dataclass(frozen=True, slots=True)
class Document:
    """A document's record. `version` tells its passages from those of its other versions.

    `metadata` are its labels; `said` are those that the document says of itself, whether the caller has set them or
    not. `reading` is the way in which it was read. `access_groups`, in order, are those whose members may read it;
    everybody where there are none.
    """

    id: str
    uri: str
    title: str
    media_type: str
    content_hash: str
    size_bytes: int
    passage_count: int
    update_time: datetime
    metadata: Mapping[str, str]
    said: Mapping[str, str] = field(default_factory=dict)
    reading: int = READING
    access_groups: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        first = f"{self.content_hash}:{self.media_type}"
        return first if self.reading == 1 else f"{first}:{self.reading}"

    def readable(self, groups: Groups) -> bool:
        """Whether a caller of these groups may read it."""
        return may_read(self.access_groups, groups)


def may_read(access_groups: Sequence[str], groups: Groups) -> bool:
    """Whether a document's access list lets a caller of these groups read it."""
    return groups is None or not access_groups or not set(access_groups).isdisjoint(groups)


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document; `span` is its range of characters in the document's extracted text. `page` counts from 1,
    0 for none; `kind` is the kind of block that most of it is, "" for one of an earlier reading."""

    id: str
    document_id: str
    title: str
    uri: str
    headings: Sequence[str]
    index: int
    span: Span
    text: str
    page: int = 0
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Sentences:
    """A passage's sentences: their ranges in its text; int8 vectors, row by row, of which only the direction counts;
    what each is to be read after ("" for nothing), none where none needs it."""

    spans: Sequence[Span]
    vectors: bytes
    leads: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SentenceScores:
    """A passage's sentences: their ranges in its text; the cosine of each with the query, none where the query was not
    embedded; what each is to be read after, none where none needs it."""

    spans: Sequence[Span]
    scores: Sequence[float]
    leads: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Sparse:
    """A sparse vector: words by their hash, with a weight each."""

    indices: list[int]
    values: list[float]


@dataclass(frozen=True, slots=True)
class PassageRecord:
    """A passage as it is stored."""

    passage: Passage
    dense: Vector
    lexical: Sparse
    sentences: Sentences


@dataclass(frozen=True, slots=True)
class NumberRange:
    """Bounds for a number, of which all that are set hold."""

    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """The field ("document_id", "media_type" or "metadata.KEY") has one of the values; or, where there is a `range`, is
    a label with a number within it."""

    field: str
    any_of: Sequence[str] = ()
    range: NumberRange | None = None


@dataclass(frozen=True, slots=True)
class DocumentFilter:
    """All of `must` hold, none of `must_not`, and one of `any`, where there are any; and of documents with access
    groups those only that name one of `groups`."""

    must: Sequence[Condition] = ()
    must_not: Sequence[Condition] = ()
    any: "Sequence[DocumentFilter]" = ()
    groups: Groups = None


class SearchMode(Enum):
    """Which signals a search uses."""

    HYBRID = "hybrid"
    DENSE = "dense"
    LEXICAL = "lexical"


class Signal(Enum):
    """What speaks for a passage: the cosine of the embeddings, BM25, that it holds the query's identifiers, a close
    reading, or the reranker."""

    DENSE = "dense"
    LEXICAL = "lexical"
    EXACT = "exact"
    READING = "reading"
    RERANK = "rerank"


@dataclass(frozen=True, slots=True)
class StoreQuery:
    """What the store is asked: the query as vectors (None: that signal is not used), and how many per signal.

    `exact`: a vector for each of the query's identifiers; none without a lexical one.
    """

    dense: Vector | None
    lexical: Sparse | None
    filter: DocumentFilter
    limit: int
    exact: Sequence[Sparse] = ()


@dataclass(frozen=True, slots=True)
class Candidates:
    """Per signal used: passage ids with that signal's own score, best first, and in `also` the scores of passages
    that only the other signal found, or an identifier.

    `exact`: for each of the query's identifiers the passages that hold it.
    """

    found: Mapping[Signal, Sequence[tuple[str, float]]]
    also: Mapping[Signal, Mapping[str, float]] = field(default_factory=dict)
    exact: Sequence[Sequence[tuple[str, float]]] = ()


@dataclass(frozen=True, slots=True)
class SignalScore:
    """One signal's part in a hit: its own score, the hit's place by it (from 1; 0: not found), what it adds."""

    signal: Signal
    score: float
    rank: int
    contribution: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found, with its fused score from 0 to 1, taken apart in `signals`."""

    passage: Passage
    score: float
    signals: Sequence[SignalScore]
    sentences: Sentences | None = None
    sentence_scores: SentenceScores | None = None


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What a caller asks. `limit` 0 means the default. `rerank`: how many of the best the reranker reads again."""

    collection: str
    query: str
    limit: int = 0
    filter: DocumentFilter = DocumentFilter()
    mode: SearchMode = SearchMode.HYBRID
    include_embeddings: bool = False
    include_sentences: bool = False
    rerank: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a search ranked: the query's language, as an ISO 639-1 code or "", and whether the embedder reads it; the
    signals' weights, and why; the query's rare identifiers; how many candidates are left out as no signal supports
    them."""

    language: str
    language_read: bool
    weights: Mapping[Signal, float]
    reason: str
    identifiers: Sequence[str]
    unsupported: int


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The hits, best first. `timings` are the hops' seconds by name. `degraded`: the embedder was gone, and BM25 alone
    found them. `trust`: 0 to 1, how far the embedder speaks the query's language; None where it was not embedded.
    `not_reranked`: that was asked for, and the reranker was gone."""

    hits: Sequence[Hit]
    script: str
    query_vector: Vector | None
    timings: Mapping[str, float]
    explanation: Explanation
    degraded: bool = False
    trust: float | None = None
    not_reranked: bool = False
