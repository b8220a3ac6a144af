"""The event log: what happened is written by group commit, all that came together in one transaction.

Nobody sees an event before it is stored. While a transaction is written the next one's rows gather: alone an event
waits for its own commit, under load many share one. What nobody waits for lingers until its run has something that
somebody waits for, so that a short run is written once, whole.
"""

import asyncio
import logging
import math
import sys
import time
from collections.abc import Callable
from typing import Protocol

from services.orchestrator import metrics
from services.orchestrator.runs.records import RunRecords
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.statements import Batch, Fenced, RunRows, RunSink
from services.runtime.records.errors import RecordsUnavailable
from services.runtime.records.writer import Writer

log = logging.getLogger(__name__)

# How long a run waits for a database that is gone.
PATIENCE_SECONDS = 5.0
CLOSE_SECONDS = 5.0
# How long events linger at most: most runs that quote are over by then, and no person sees the difference.
LINGER_SECONDS = 0.1


class LoggedRun(Protocol):
    """A run whose record has to be written."""

    @property
    def run(self) -> Run: ...

    def collect(self, batch: Batch) -> None:
        """Add to the batch what is not written yet."""
        ...

    def stored(self) -> None:
        """All that was collected is written."""
        ...

    def fail(self, error: BaseException) -> None:
        """It cannot be written, for now at least: the run must not go on."""
        ...


class EventLog:
    """`fenced` is called when the other replicas have given this one up. A database that is gone is tried again until
    the log is closed: what was collected is written in the end, though its run may have ended for its readers."""

    def __init__(self, records: RunRecords, fenced: Callable[[], None]) -> None:
        self._records = records
        self._fenced = fenced
        self._writer = Writer(records.database, limit=sys.maxsize, patience=math.inf, failing=self._failed)
        self._sink = RunSink()
        self._dirty: dict[str, LoggedRun] = {}
        self._taken: list[tuple[LoggedRun, int]] = []
        self._began = 0.0
        self._scheduled = False
        # By run: the entry, and until when it lingers, by the loop's clock; the oldest first.
        self._lingering: dict[str, tuple[LoggedRun, float]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._failing = False
        self._since: dict[str, float] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._loop = asyncio.get_running_loop()

    async def open(self) -> None:
        await self._writer.open()

    @property
    def incarnation(self) -> str:
        return self._records.incarnation

    async def aclose(self) -> None:
        """Write what there is and stop; a database that is gone is not waited for."""
        self._closing = True
        for entry, _ in tuple(self._lingering.values()):
            self.put(entry)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._dirty or self._taken:
                    await self._idle.wait()
        except TimeoutError:
            log.exception("events not written at the end", extra={"runs": len(self._dirty) + len(self._taken)})
        self.forget()
        await self._writer.aclose(patience=0)

    def check(self) -> None:
        """Raises RecordsUnavailable while nothing can be written."""
        if self._failing:
            raise RecordsUnavailable

    def put(self, entry: LoggedRun, *, linger: bool = False) -> None:
        """Have the entry's new events, or its new state, written; those that nobody waits for may linger."""
        run_id = entry.run.id
        self._idle.clear()
        if linger and not self._closing and run_id not in self._dirty:
            if run_id not in self._lingering:
                self._lingering[run_id] = entry, self._loop.time() + LINGER_SECONDS
                self._timer = self._timer or self._loop.call_later(LINGER_SECONDS, self._lingered)
            return
        self._lingering.pop(run_id, None)
        self._dirty[run_id] = entry
        self._schedule()

    def _schedule(self) -> None:
        if self._scheduled or self._taken:
            return
        self._scheduled = True
        # Not now: what happens in the same turn of the loop goes along.
        self._loop.call_soon(self._flush)

    def _lingered(self) -> None:
        """Write what has lingered long enough, and look again when the next has."""
        self._timer = None
        now = self._loop.time()
        for run_id, (entry, until) in tuple(self._lingering.items()):
            if until > now:
                self._timer = self._loop.call_at(until, self._lingered)
                break
            del self._lingering[run_id]
            self._dirty[run_id] = entry
        if self._dirty:
            self._schedule()

    def forget(self) -> None:
        """Write nothing more of what is not written: the runs are another replica's."""
        self._dirty.clear()
        self._lingering.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        self._scheduled = False
        if self._taken or not self._dirty:
            return
        dirty, self._dirty = self._dirty, {}
        self._began = time.monotonic()
        written: list[asyncio.Future[None]] = []
        for entry in dirty.values():
            batch: Batch = {}
            entry.collect(batch)
            self._taken.append((entry, entry.run.sequence))
            written.append(self._writer.put(self._sink, RunRows(batch, self._records.incarnation)))
        asyncio.gather(*written, return_exceptions=True).add_done_callback(self._done)

    def _failed(self) -> None:
        """An attempt failed. Runs that wait for too long end."""
        log.warning("events not written; trying again", extra={"runs": len(self._taken)})
        self._failing = True
        metrics.RECORDS_FAILING.set(1)
        now = time.monotonic()
        for entry in [*(entry for entry, _ in self._taken), *self._dirty.values()]:
            if now - self._since.setdefault(entry.run.id, now) > PATIENCE_SECONDS and entry.run.broken is None:
                entry.fail(RecordsUnavailable())

    def _done(self, written: "asyncio.Future[list[BaseException | None]]") -> None:
        metrics.COMMIT_SECONDS.observe(time.monotonic() - self._began)
        taken, self._taken = self._taken, []
        if self._failing:
            self._failing = False
            self._since.clear()
            metrics.RECORDS_FAILING.set(0)
        errors = written.result()
        if any(isinstance(error, Fenced) for error in errors):
            self._fenced()
        for (entry, sequence), error in zip(taken, errors, strict=True):
            if error is None:
                entry.run.release(sequence)
                entry.stored()
            elif not isinstance(error, Fenced):
                self._drop(entry)
                entry.fail(error)
                self._drop(entry)
        self._flush()
        if not self._taken:
            self._idle.set()

    def _drop(self, entry: LoggedRun) -> None:
        self._dirty.pop(entry.run.id, None)
        self._lingering.pop(entry.run.id, None)
