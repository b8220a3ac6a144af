"""What executes a run."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.llm.chat import Message, Priority, ResponseFormat, Sampling, ToolChoice
from services.llm.route_report import TargetHealth
from services.orchestrator.domain.document_filter import ALL, DocumentFilter
from services.orchestrator.domain.event import (
    ApprovalDecided,
    ApprovalRequested,
    Body,
    Event,
    FinishReason,
    Timing,
    ToolCallBegun,
)
from services.orchestrator.domain.tool import Declaration


@dataclass(frozen=True, slots=True)
class RunInput:
    """What a run is to answer. `messages` end with the question, or with results of the caller's own `tools`.

    `collection` is empty where the caller named none; `max_passages` and `max_sentences` are 0, and `response_format`
    is None, where it left them to the agent. `session_id` is empty outside of a session; within one, `messages` are
    what is new in it. `filter`: only documents that pass are read. `prompt`: the version of the caller's prompt that
    the first `prompt_messages` are, "name@version".
    """

    messages: tuple[Message, ...]
    collection: str = ""
    max_passages: int = 0
    max_sentences: int = 0
    tools: tuple[Declaration, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    serial_tool_calls: bool = False
    response_format: ResponseFormat | None = None
    sampling: Sampling = Sampling()
    session_id: str = ""
    priority: Priority = Priority.INTERACTIVE
    filter: DocumentFilter = ALL
    prompt: str = ""
    prompt_messages: int = 0

    @property
    def said(self) -> tuple[Message, ...]:
        """What a session keeps: the messages without the prompt's, but for its question where the caller sent none."""
        return self.messages[min(self.prompt_messages, len(self.messages) - 1) :]

    @property
    def question(self) -> str:
        """The last message's text."""
        return self.messages[-1].content.strip()


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How an agent ended, and what its hops took. `limit` goes with FinishReason.LIMIT."""

    reason: FinishReason
    timings: tuple[Timing, ...] = ()
    limit: str = ""


# Checks a decision before it is taken. Raises InvalidArgument for one that cannot be acted upon.
Review = Callable[[ApprovalRequested, ApprovalDecided], None]


class Journal(Protocol):
    """A run as its agent sees it."""

    @property
    def run_id(self) -> str: ...

    @property
    def tenant(self) -> str: ...

    @property
    def deadline(self) -> float:
        """When the run must be over, on the monotonic clock, in seconds."""
        ...

    @property
    def events(self) -> Sequence[Event]:
        """What had happened when the agent was started: `Started` alone for a new run. A run that is picked up after
        its process died goes on from the end of them."""
        ...

    async def decision(self, approval_id: str) -> ApprovalDecided:
        """Wait for the decision on an ApprovalRequested that was yielded; it is an event by then. The time it takes
        does not count: the deadline moves by as much."""
        ...

    async def begin(self, call_id: str) -> ToolCallBegun:
        """Record that a tool's call begins: an event, and stored on return. Raises RecordsUnavailable; then the call
        must not be made."""
        ...

    def review(self, check: Review) -> None:
        """Have decisions checked before they are taken. Until this is called none that brings a replacement is."""


class Agent(Protocol):
    """Something that answers. `run` yields events as they happen and a RunOutcome last.

    What is yielded is stored before anybody sees it; after an ApprovalRequested the agent goes on only once that is
    stored. An agent may have `resumable = True`: it goes on from
    `journal.events` after its process died. A run of any other agent is then ended as failed. One whose instructions
    are a prompt has that as `prompt`, "name@version".
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int:
        """0 for a bare model."""
        ...

    @property
    def description(self) -> str: ...

    def run(self, ask: RunInput, journal: Journal) -> AsyncGenerator[Body | RunOutcome, None]: ...


@dataclass(frozen=True, slots=True)
class Listed:
    """A name that a run may be started with. `agent_version` is 0 for a bare model; `context_length`, in tokens, 0
    where that is not known. Prices of a million tokens, in billionths of the catalogue's currency. `models`: those of
    the catalogue that it asks, the one that answers first; `targets`: of a route, how those are that it leads to."""

    id: str
    description: str = ""
    agent_version: int = 0
    context_length: int = 0
    capabilities: tuple[str, ...] = ()
    input_price_nanos: int = 0
    output_price_nanos: int = 0
    models: tuple[str, ...] = ()
    targets: tuple[TargetHealth, ...] = ()


class Agents(Protocol):
    """The agents that a tenant may run, its own, the shipped ones and the catalogue's bare models."""

    async def find(self, tenant: str, model: str, prompt: str = "") -> Agent:
        """By "name" or "name@version"; `prompt`: the version to use of the prompt that it names. Raises
        ModelNotFound, or a FAILED_PRECONDITION where it cannot run now."""
        ...

    @property
    def default_model(self) -> str:
        """What the name "default" stands for; empty where that is nothing."""
        ...

    async def models(self, tenant: str) -> Sequence[Listed]:
        """All that `find` knows and that can run now, ordered by id."""
        ...
