"""What executes a run."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.orchestrator.conversation import Message, Priority, ResponseFormat, Sampling, ToolChoice
from services.orchestrator.runs.events import ApprovalDecided, Body, Event, FinishReason, Timing
from services.orchestrator.tools.tool import Declaration


@dataclass(frozen=True, slots=True)
class Ask:
    """What a run is to answer. `messages` end with the question, or with results of the caller's own `tools`.

    `collection` is empty where the caller named none; `max_passages` and `max_sentences` are 0, and `response_format`
    is None, where it left them to the agent. `session_id` is empty outside of a session; within one, `messages` are
    what is new in it.
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

    @property
    def question(self) -> str:
        """The last message's text."""
        return self.messages[-1].content.strip()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an agent ended, and what its hops took. `limit` goes with FinishReason.LIMIT."""

    reason: FinishReason
    timings: tuple[Timing, ...] = ()
    limit: str = ""


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
        """All that has happened so far. For a run that is picked up after its process died, that is where the agent
        goes on: from the end of what is recorded."""
        ...

    async def decision(self, approval_id: str) -> ApprovalDecided:
        """Wait for the decision on an ApprovalRequested that was yielded; it is an event by then."""
        ...


class Agent(Protocol):
    """Something that answers. `run` yields events as they happen and an Outcome last."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int:
        """0 for a bare model."""
        ...

    @property
    def description(self) -> str: ...

    def run(self, ask: Ask, journal: Journal) -> AsyncGenerator[Body | Outcome, None]: ...


class Agents(Protocol):
    """The agents that a tenant may run, its own, the shipped ones and the catalogue's bare models."""

    async def find(self, tenant: str, model: str) -> Agent:
        """By "name" or "name@version". Raises ModelNotFound, or a FAILED_PRECONDITION where it cannot run now."""
        ...
