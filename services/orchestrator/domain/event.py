"""What a run can do, one dataclass a kind of event."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

from services.llm.generation import TokenCounts
from services.llm.route_report import RouteReport
from services.orchestrator.domain.tool import ToolCall, ToolResult


class FinishReason(IntEnum):
    """Why a run ended; the values are the contract's."""

    STOP = 1
    NO_ANSWER = 2
    CANCELLED = 3
    DEADLINE_EXCEEDED = 4
    ERROR = 5
    LENGTH = 6
    TOOL_CALLS = 7
    LIMIT = 8
    REJECTED = 9
    CONTENT_FILTER = 10


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of characters."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Citation:
    """The source of a quote; `span` is in the document's text, `page` counts from 1, 0 for none."""

    document_id: str
    title: str
    uri: str
    passage_id: str
    span: Span
    quote: str
    page: int = 0


@dataclass(frozen=True, slots=True)
class Timing:
    """What a hop took, in seconds, with all below it."""

    hop: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Started:
    """`agent_version` is 0 for a bare model; `session_id` empty outside of a session. `begins`: a call that must not be
    made twice is recorded as begun before it is made; in runs of earlier versions none is. `prompt`: the version of the
    prompt that the agent's instructions are, `callers_prompt` that of the caller's; empty for none."""

    model: str
    collection: str
    agent_version: int = 0
    session_id: str = ""
    begins: bool = False
    prompt: str = ""
    callers_prompt: str = ""


@dataclass(frozen=True, slots=True)
class PassageReference:
    passage_id: str
    document_id: str
    title: str
    score: float


@dataclass(frozen=True, slots=True)
class PassagesRetrieved:
    """The passages an answer is built from, best first. `degraded`: they were found by their words alone, as the
    embedder was gone. `not_reranked`: the agent has them reranked, and the reranker was gone. `left_out_tokens` of them
    the model does not read, by estimate."""

    passages: tuple[PassageReference, ...]
    degraded: bool = False
    not_reranked: bool = False
    left_out_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TextDelta:
    """`tokens`: how many it took, 0 where that is not known. `refusal`: the model says so instead of an answer."""

    text: str
    tokens: int = 0
    refusal: bool = False


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """What the model thinks aloud, which is no part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class CitationAdded:
    """`answer_span` is in the answer."""

    citation: Citation
    answer_span: Span


@dataclass(frozen=True, slots=True)
class UsageReported:
    """Totals in tokens, since the run began where it is an event of its own. `cost_nanos`: billionths of the model
    catalogue's currency."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    cost_nanos: int = 0
    reasoning_tokens: int = 0

    @classmethod
    def of(cls, tokens: TokenCounts, cost_nanos: int) -> "UsageReported":
        """What one generation used."""
        return cls(tokens.read, tokens.written, tokens.cached, cost_nanos, tokens.reasoning)

    def __add__(self, other: "UsageReported") -> "UsageReported":
        return UsageReported(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cost_nanos + other.cost_nanos,
            self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True, slots=True)
class ModelRouted:
    """A route has an answer: of which model, and what it has decided before."""

    report: RouteReport


class StepKind(IntEnum):
    """What a step does; the values are the contract's."""

    RETRIEVE = 1
    GENERATE = 2
    TOOLS = 3
    GRADE = 4
    REPAIR = 5
    SUMMARISE = 6


@dataclass(frozen=True, slots=True)
class StepStarted:
    """`model` by its catalogue name; empty for a step without one. `prompt_tokens`: about how many it is sent, 0 where
    it is not asked yet."""

    step: int
    kind: StepKind
    model: str = ""
    prompt_tokens: int = 0


@dataclass(frozen=True, slots=True)
class StepFinished:
    """`usage` is of this step alone; `waited` the part of `seconds` that went to the model or the tools; `text` what
    the model wrote; `finish` why it stopped; `confidence` how sure it was, if it was asked."""

    step: int
    kind: StepKind
    model: str = ""
    usage: UsageReported = UsageReported(0, 0)
    seconds: float = 0.0
    waited: float = 0.0
    text: str = ""
    finish: str = ""
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class ToolCallRequested:
    """`callers`: the tool is the caller's own, who runs it."""

    call: ToolCall
    step: int
    callers: bool = False


@dataclass(frozen=True, slots=True)
class ToolCallBegun:
    """The call is about to be made. Of calls that must not be made twice; it is stored before they are."""

    call_id: str


@dataclass(frozen=True, slots=True)
class ToolResultReceived:
    result: ToolResult


@dataclass(frozen=True, slots=True)
class VerdictGiven:
    """`score` from 0, bad, to 1, good; `attempt` 1 for the first answer, 2 for the one after a retry; `sentences`
    those that the grader found fault with. `undecided`: there is no verdict, neither yes nor no."""

    grader: str
    passed: bool
    score: float
    reason: str
    attempt: int = 1
    sentences: tuple[str, ...] = ()
    undecided: bool = False


@dataclass(frozen=True, slots=True)
class TrimmedResult:
    """A tool's result, of which the model reads so many characters from here on."""

    call_id: str
    kept: int


@dataclass(frozen=True, slots=True)
class ContextTrimmed:
    """The prompt was too long for the model: of these results it reads less from here on, and of the session not the
    oldest `messages` of those that it had read. `prompt_tokens`: how long it was."""

    results: tuple[TrimmedResult, ...]
    messages: int = 0
    prompt_tokens: int = 0


class ApprovalKind(IntEnum):
    """What a person is to approve; the values are the contract's."""

    TOOL_CALL = 1
    RUN = 2
    ANSWER = 3


@dataclass(frozen=True, slots=True)
class ApprovalRequested:
    """`call` for TOOL_CALL, `draft` for ANSWER; `expires`: seconds since the epoch, when the answer becomes no."""

    approval_id: str
    kind: ApprovalKind
    reason: str
    call: ToolCall | None = None
    draft: str = ""
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class ApprovalDecided:
    """`decided_by` is empty where the time ran out; `replacement` is what to answer instead of the draft, or the
    arguments, as JSON, to make the call with."""

    approval_id: str
    approved: bool
    decided_by: str = ""
    comment: str = ""
    replacement: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event. `error_code` is a gRPC status code, 0 where there was no error; `limit` names the agent's limit
    that ended the run. `error_details` and `retry_after`, in seconds, are a DomainError's."""

    reason: FinishReason
    error_reason: str = ""
    error_message: str = ""
    error_code: int = 0
    timings: tuple[Timing, ...] = ()
    limit: str = ""
    error_details: Mapping[str, str] = field(default_factory=dict)
    retry_after: float | None = None


Body: TypeAlias = (
    Started
    | PassagesRetrieved
    | TextDelta
    | ReasoningDelta
    | CitationAdded
    | UsageReported
    | ModelRouted
    | StepStarted
    | StepFinished
    | ToolCallRequested
    | ToolCallBegun
    | ToolResultReceived
    | ContextTrimmed
    | VerdictGiven
    | ApprovalRequested
    | ApprovalDecided
    | Finished
)


@dataclass(frozen=True, slots=True)
class Event:
    """`sequence` counts from 1 without a gap; `time` is seconds since the epoch."""

    sequence: int
    body: Body
    time: float = field(default_factory=time.time)
