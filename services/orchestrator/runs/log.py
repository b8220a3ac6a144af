"""The event log: one thread that writes what happened, all that came together in one transaction.

Nobody sees an event before it is stored. All state is the event loop's; the thread takes a batch, commits it, and says
so. While it is at it the next batch grows: alone an event waits for its own commit, under load many share one.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Protocol

from services.orchestrator import metrics
from services.orchestrator.runs.errors import RecordsUnavailable
from services.orchestrator.runs.records import Fenced, Records, Unwritable
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.statements import Batch, only

log = logging.getLogger(__name__)

# How long a run waits for a database that is gone, and between two attempts to write.
PATIENCE_SECONDS = 5.0
RETRY_SECONDS = 0.25
CLOSE_SECONDS = 5.0
# How long events wait for company that nobody waits for.
LINGER_SECONDS = 0.01


class Entry(Protocol):
    """A run whose record has to be written."""

    @property
    def run(self) -> Run: ...

    def collect(self, batch: Batch) -> None:
        """Add to the batch what is not written yet."""
        ...

    def stored(self) -> None:
        """All that was collected is written."""
        ...

    def fail(self, error: Exception) -> None:
        """It cannot be written, for now at least: the run must not go on."""
        ...


class EventLog:
    """`fenced` is called when the other replicas have given this one up."""

    def __init__(self, records: Records, fenced: Callable[[], None]) -> None:
        self._records = records
        self._fenced = fenced
        self._dirty: dict[str, Entry] = {}
        self._taken: list[tuple[Entry, int]] = []
        self._scheduled = False
        self._lingering: asyncio.TimerHandle | None = None
        self._failing = False
        self._since: dict[str, float] = {}
        self._queue: queue.SimpleQueue[tuple[Batch, list[str], str] | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._thread = threading.Thread(target=self._write, name="event-log", daemon=True)
        self._loop = asyncio.get_running_loop()

    def open(self) -> None:
        self._thread.start()

    @property
    def incarnation(self) -> str:
        return self._records.incarnation

    async def aclose(self) -> None:
        """Write what there is and stop; a database that is gone is not waited for."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._dirty or self._taken:
                    await self._idle.wait()
        except TimeoutError:
            log.exception("events not written at the end", extra={"runs": len(self._dirty) + len(self._taken)})
        self._closing.set()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def check(self) -> None:
        """Raises RecordsUnavailable while nothing can be written."""
        if self._failing:
            raise RecordsUnavailable

    def put(self, entry: Entry, *, linger: bool = False) -> None:
        """Have the entry's new events, or its new state, written; those that nobody waits for may linger."""
        self._dirty[entry.run.id] = entry
        self._idle.clear()
        if self._scheduled or self._taken:
            return
        if linger:
            self._lingering = self._lingering or self._loop.call_later(LINGER_SECONDS, self._flush)
        else:
            self._scheduled = True
            # Not now: what happens in the same turn of the loop goes along.
            self._loop.call_soon(self._flush)

    def forget(self) -> None:
        """Write nothing more of what is not written: the runs are another replica's."""
        self._dirty.clear()

    def _flush(self) -> None:
        self._scheduled = False
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if self._taken or not self._dirty:
            return
        batch: Batch = {}
        dirty, self._dirty = self._dirty, {}
        for entry in dirty.values():
            entry.collect(batch)
            self._taken.append((entry, entry.run.sequence))
        self._queue.put((batch, list(dirty), self._records.incarnation))

    def _write(self) -> None:
        """The thread."""
        while (item := self._queue.get()) is not None:
            batch, ids, incarnation = item
            self._call(self._done, self._commit(batch, ids, incarnation))

    def _commit(self, batch: Batch, ids: list[str], incarnation: str) -> dict[str, Exception]:
        """Write a batch, however long that takes; gives the runs that cannot be written at all."""
        while not self._closing.is_set():
            try:
                with metrics.COMMIT_SECONDS.time():
                    self._records.commit(batch, incarnation)
                return {}
            except Fenced as fenced:
                return dict.fromkeys(ids, fenced)
            except Unwritable as error:
                if len(ids) == 1:
                    log.exception("a run cannot be written", extra={"run_id": ids[0]})
                    return {ids[0]: error}
                bad: dict[str, Exception] = {}
                for run_id in ids:
                    bad |= self._commit(only(batch, run_id), [run_id], incarnation)
                return bad
            except Exception:
                log.exception("events not written; trying again", extra={"runs": len(ids)})
                self._call(self._failed)
                self._closing.wait(RETRY_SECONDS)
        return dict.fromkeys(ids, RecordsUnavailable())

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is closed already
            self._closing.set()

    def _failed(self) -> None:
        """An attempt failed. Runs that wait for too long end."""
        self._failing = True
        metrics.RECORDS_FAILING.set(1)
        now = time.monotonic()
        for entry in [*(entry for entry, _ in self._taken), *self._dirty.values()]:
            if now - self._since.setdefault(entry.run.id, now) > PATIENCE_SECONDS and entry.run.broken is None:
                entry.fail(RecordsUnavailable())

    def _done(self, bad: dict[str, Exception]) -> None:
        taken, self._taken = self._taken, []
        if self._failing:
            self._failing = False
            self._since.clear()
            metrics.RECORDS_FAILING.set(0)
        if any(isinstance(error, Fenced) for error in bad.values()):
            self._fenced()
        for entry, sequence in taken:
            error = bad.get(entry.run.id)
            if error is None:
                entry.run.release(sequence)
                entry.stored()
            elif not isinstance(error, Fenced):
                self._dirty.pop(entry.run.id, None)
                entry.fail(error)
                self._dirty.pop(entry.run.id, None)
        self._flush()
        if not self._taken:
            self._idle.set()
