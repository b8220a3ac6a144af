"""A run as a state machine: events go in, its state follows from them, readers follow along once they are stored."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

from services.orchestrator.domain.event import (
    ApprovalDecided,
    ApprovalRequested,
    Body,
    Event,
    Finished,
    FinishReason,
    UsageReported,
)
from services.orchestrator.runs.approvals import Approvals

MOST_AT_ONCE = 256
# Stored events that a run keeps in memory for its readers; who is further behind reads the record.
KEPT_EVENTS = 256
NOTHING_USED = UsageReported(0, 0)


class RunState(IntEnum):
    """Where a run stands; the values are the contract's."""

    RUNNING = 1
    SUCCEEDED = 2
    FAILED = 3
    CANCELLED = 4
    WAITING = 5


_STATE_OF = {
    FinishReason.STOP: RunState.SUCCEEDED,
    FinishReason.NO_ANSWER: RunState.SUCCEEDED,
    FinishReason.CANCELLED: RunState.CANCELLED,
    FinishReason.DEADLINE_EXCEEDED: RunState.CANCELLED,
    FinishReason.ERROR: RunState.FAILED,
    FinishReason.LENGTH: RunState.SUCCEEDED,
    FinishReason.TOOL_CALLS: RunState.SUCCEEDED,
    FinishReason.LIMIT: RunState.SUCCEEDED,
    FinishReason.REJECTED: RunState.CANCELLED,
}


class RunOver(Exception):
    """An event was to be added to a run that is over."""


def new_id(replica: str) -> str:
    """A run's id. It names the replica that started it."""
    return f"run_{replica}_{uuid.uuid4().hex}"


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run as it is told to others. Times are seconds since the epoch; `replica` is the one that executes it;
    `subject` who started it."""

    id: str
    tenant: str
    model: str
    collection: str
    state: RunState = RunState.RUNNING
    finish_reason: FinishReason | None = None
    last_sequence: int = 0
    create_time: float = 0
    end_time: float | None = None
    usage: UsageReported = NOTHING_USED
    agent_version: int = 0
    session_id: str = ""
    pending: tuple[str, ...] = ()
    replica: str = ""
    subject: str = ""


# Stored events of a run after a sequence number, by id: for readers who are further behind than its memory.
History: TypeAlias = Callable[[str, int], Awaitable[Sequence[Event]]]


@dataclass(slots=True)
class Run:
    """One execution under way, or just over. All methods are called on the event loop.

    `sequence` is the last event's number, `stored` that of the last one that is stored. `unstored` is what the log has
    not taken yet. `broken` ends the readers where the run's end cannot be told: its record cannot be written, or
    another replica has it.
    """

    id: str
    tenant: str
    model: str
    collection: str
    agent_version: int = 0
    session_id: str = ""
    replica: str = ""
    subject: str = ""
    create_time: float = field(default_factory=time.time)
    sequence: int = 0
    stored: int = 0
    recent: list[Event] = field(default_factory=list)
    unstored: list[Event] = field(default_factory=list)
    usage: UsageReported = NOTHING_USED
    finished: Finished | None = None
    finish_time: float | None = None
    broken: BaseException | None = None
    approvals: Approvals = field(default_factory=Approvals)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def append(self, body: Body) -> Event:
        """Add the next event; readers see it once it is stored. Raises RunOver after `Finished`."""
        if self.finished is not None:
            raise RunOver(self.id)
        event = Event(self.sequence + 1, body)
        self._fold(event)
        self.unstored.append(event)
        return event

    def restore(self, events: Sequence[Event]) -> None:
        """Take in what is stored of a run that another process began."""
        for event in events:
            self._fold(event)
        self.stored = self.sequence
        del self.recent[:-KEPT_EVENTS]

    def _fold(self, event: Event) -> None:
        body = event.body
        self.sequence = event.sequence
        self.recent.append(event)
        if isinstance(body, UsageReported):
            self.usage = body
        elif isinstance(body, ApprovalRequested):
            self.approvals.request(body)
        elif isinstance(body, ApprovalDecided):
            self.approvals.decide(body)
        elif isinstance(body, Finished):
            self.finished, self.finish_time = body, event.time

    def release(self, sequence: int) -> None:
        """What is up to `sequence` is stored: show it to the readers."""
        self.stored = sequence
        unstored = self.sequence - sequence
        if len(self.recent) > 2 * KEPT_EVENTS + unstored:
            del self.recent[: len(self.recent) - KEPT_EVENTS - unstored]
        self._wake()

    def end_unstored(self, error: BaseException) -> None:
        """The readers' end, where the run's own cannot be stored."""
        self.broken = error
        self._wake()

    def end_at(self, sequence: int, finished: Finished) -> Event:
        """End the run in place of its event number `sequence`, which is not stored, and of all after it."""
        event = Event(sequence, finished)
        del self.recent[len(self.recent) - (self.sequence - sequence + 1) :]
        self._fold(event)
        return event

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def saved(self, sequence: int) -> None:
        """Wait until the event is stored. Raises `broken`."""
        while self.stored < sequence:
            if self.broken is not None:
                raise self.broken
            await self._changed.wait()

    async def follow(self, after: int, history: History) -> AsyncIterator[Sequence[Event]]:
        """The stored events with a sequence number over `after`, then live ones, up to and with `Finished`; each time
        all that happened since the last, MOST_AT_ONCE at most. Raises `broken`."""
        position = max(after, 0)
        while True:
            changed = self._changed
            while position < self.stored:
                batch = self._window(position)
                if not batch:
                    batch = await history(self.id, position)
                position = batch[-1].sequence
                yield batch
            if self.over and position >= self.stored:
                return
            if changed is self._changed:
                if self.broken is not None:
                    raise self.broken
                await changed.wait()

    def _window(self, position: int) -> Sequence[Event]:
        """The next stored events in memory; none where they are not in memory any more."""
        start = position + len(self.recent) - self.sequence
        if start < 0:
            return ()
        return self.recent[start : start + min(self.stored - position, MOST_AT_ONCE)]

    @property
    def over(self) -> bool:
        """It is finished, and that is stored."""
        return self.finished is not None and self.stored == self.sequence

    async def ended(self) -> None:
        """Wait until the run is over. Raises `broken`."""
        while not self.over:
            if self.broken is not None:
                raise self.broken
            await self._changed.wait()

    @property
    def state(self) -> RunState:
        if self.finished is not None:
            return _STATE_OF[self.finished.reason]
        return RunState.WAITING if self.approvals.pending else RunState.RUNNING

    @property
    def info(self) -> RunInfo:
        return RunInfo(
            self.id,
            self.tenant,
            self.model,
            self.collection,
            self.state,
            self.finished.reason if self.finished else None,
            self.sequence,
            self.create_time,
            self.finish_time,
            self.usage,
            self.agent_version,
            self.session_id,
            self.approvals.pending if self.finished is None else (),
            self.replica,
            self.subject,
        )
