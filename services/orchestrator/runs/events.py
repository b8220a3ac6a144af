"""What a run can do, one dataclass a kind of event."""

import time
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias


class FinishReason(IntEnum):
    """Why a run ended; the values are the contract's."""

    STOP = 1
    NO_ANSWER = 2
    CANCELLED = 3
    DEADLINE_EXCEEDED = 4
    ERROR = 5


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of characters."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Citation:
    """The source of a quote; `span` is in the document's text."""

    document_id: str
    title: str
    uri: str
    passage_id: str
    span: Span
    quote: str


@dataclass(frozen=True, slots=True)
class Timing:
    """What a hop took, in seconds, with all below it."""

    hop: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Started:
    model: str
    collection: str


@dataclass(frozen=True, slots=True)
class PassageReference:
    passage_id: str
    document_id: str
    title: str
    score: float


@dataclass(frozen=True, slots=True)
class PassagesRetrieved:
    """The passages an answer is built from, best first."""

    passages: tuple[PassageReference, ...]


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class CitationAdded:
    """`answer_span` is in the answer."""

    citation: Citation
    answer_span: Span


@dataclass(frozen=True, slots=True)
class UsageReported:
    """Totals since the run began, in tokens."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event. `error_code` is a gRPC status code, 0 where there was no error."""

    reason: FinishReason
    error_reason: str = ""
    error_message: str = ""
    error_code: int = 0
    timings: tuple[Timing, ...] = ()


Body: TypeAlias = Started | PassagesRetrieved | TextDelta | CitationAdded | UsageReported | Finished


@dataclass(frozen=True, slots=True)
class Event:
    """`sequence` counts from 1 without a gap; `time` is seconds since the epoch."""

    sequence: int
    body: Body
    time: float = field(default_factory=time.time)
