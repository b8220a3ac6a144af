"""A run as a state machine: events go in, its state follows from them, readers follow along."""

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from services.orchestrator.runs.errors import AlreadyDecided, ApprovalNotFound
from services.orchestrator.runs.events import (
    ApprovalDecided,
    ApprovalRequested,
    Body,
    Event,
    Finished,
    FinishReason,
    Started,
    UsageReported,
)

MOST_AT_ONCE = 256
NOTHING_USED = UsageReported(0, 0)


class State(IntEnum):
    """Where a run stands; the values are the contract's."""

    RUNNING = 1
    SUCCEEDED = 2
    FAILED = 3
    CANCELLED = 4
    WAITING = 5


_STATE_OF = {
    FinishReason.STOP: State.SUCCEEDED,
    FinishReason.NO_ANSWER: State.SUCCEEDED,
    FinishReason.CANCELLED: State.CANCELLED,
    FinishReason.DEADLINE_EXCEEDED: State.CANCELLED,
    FinishReason.ERROR: State.FAILED,
    FinishReason.LENGTH: State.SUCCEEDED,
    FinishReason.TOOL_CALLS: State.SUCCEEDED,
    FinishReason.LIMIT: State.SUCCEEDED,
    FinishReason.REJECTED: State.CANCELLED,
}


# The replica's name becomes a header, so that it may not be just anything that a caller writes.
_ID = re.compile(r"run_([A-Za-z0-9_.-]*[A-Za-z0-9.-])_[A-Za-z0-9]+")


class RunOver(Exception):
    """An event was to be added to a run that is over."""


def new_id(replica: str) -> str:
    """A run's id. It names the replica that has the run in memory, so that any other can find it."""
    return f"run_{replica}_{uuid.uuid4().hex}"


def replica_of(run_id: str) -> str | None:
    """The replica that a run's id names; None for what is no run id."""
    found = _ID.fullmatch(run_id)
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run as it is told to others. Times are seconds since the epoch."""

    id: str
    tenant: str
    model: str
    collection: str
    state: State = State.RUNNING
    finish_reason: FinishReason | None = None
    last_sequence: int = 0
    create_time: float = 0
    end_time: float | None = None
    usage: UsageReported = NOTHING_USED
    agent_version: int = 0
    session_id: str = ""
    pending: tuple[str, ...] = ()


@dataclass(slots=True)
class Run:
    """One execution under way, or just over. All methods are called on the event loop."""

    id: str
    tenant: str
    model: str
    collection: str
    agent_version: int = 0
    session_id: str = ""
    deadline: float = float("inf")
    create_time: float = field(default_factory=time.time)
    events: list[Event] = field(default_factory=list)
    usage: UsageReported = NOTHING_USED
    finished: Finished | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _pending: dict[str, asyncio.Future[ApprovalDecided]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.append(Started(self.model, self.collection, self.agent_version, self.session_id))

    @property
    def run_id(self) -> str:
        return self.id

    async def decision(self, approval_id: str) -> ApprovalDecided:
        return await self._pending[approval_id]

    def decide(self, decision: ApprovalDecided) -> None:
        """Decide an approval. Raises ApprovalNotFound, or AlreadyDecided where it was decided before."""
        pending = self._pending.get(decision.approval_id)
        if pending is None:
            raise ApprovalNotFound(self.id, decision.approval_id)
        if pending.done():
            before = pending.result()
            raise AlreadyDecided(before.approval_id, before.approved, before.decided_by)
        self.append(decision)
        pending.set_result(decision)

    def append(self, body: Body) -> Event:
        """Add the next event and wake the readers. Raises RunOver after `Finished`."""
        if self.finished is not None:
            raise RunOver(self.id)
        event = Event(len(self.events) + 1, body)
        self.events.append(event)
        if isinstance(body, ApprovalRequested):
            self._pending[body.approval_id] = asyncio.get_running_loop().create_future()
        if isinstance(body, UsageReported):
            self.usage = body
        elif isinstance(body, Finished):
            self.finished = body
        self._changed.set()
        self._changed = asyncio.Event()
        return event

    async def follow(self, after: int = 0) -> AsyncIterator[Sequence[Event]]:
        """The events with a sequence number over `after`, then live ones, up to and with `Finished`; each time all
        that happened since the last, MOST_AT_ONCE at most."""
        position = max(after, 0)
        while True:
            changed = self._changed
            while batch := self.events[position : position + MOST_AT_ONCE]:
                position = batch[-1].sequence
                yield batch
            if self.finished is not None and position >= len(self.events):
                return
            if changed is self._changed:
                await changed.wait()

    async def over(self) -> None:
        """Wait until the run is over."""
        while self.finished is None:
            await self._changed.wait()

    @property
    def info(self) -> RunInfo:
        end = self.finished
        return RunInfo(
            self.id,
            self.tenant,
            self.model,
            self.collection,
            _STATE_OF[end.reason] if end else State.RUNNING,
            end.reason if end else None,
            len(self.events),
            self.create_time,
            self.events[-1].time if end else None,
            self.usage,
            self.agent_version,
            self.session_id,
            tuple(name for name, pending in self._pending.items() if not pending.done()),
        )
