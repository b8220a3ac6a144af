"""Group commit: one transaction writes all that came while the last one was written."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.records.database import Database
from services.runtime.records.errors import RecordsUnavailable
from services.runtime.records.many import Part, Rows, Step
from services.runtime.records.metrics import writer_metrics

LOG = logging.getLogger(__name__)
T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
RETRY_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0)


class NothingWritten(Exception):
    """Raised by a sink that may not write any more: all that was to be written in its transaction fails at once."""


class Outdated(Exception):
    """Raised by the check of a script that was made of what is no longer so: its sink writes in another way then."""


class Sink(Protocol[T_contra]):
    """Where items of one kind are written.

    A batch may be written again after a connection that broke while it committed, and is written item by item where
    something in it is refused: a sink writes rows with keys of their own and leaves those that are there already.

    Rows that all replicas change are locked until the commit. Sinks that have such write in the same order in every
    transaction: by `turn`, 0 where there is none, so that no replica waits for another in a circle.
    """

    async def write(self, connection: AsyncConnection, items: Sequence[T_contra]) -> None:
        """Write the items in their order, within the transaction of `connection`."""
        ...


class ScriptSink(ABC, Generic[T]):
    """A sink whose statements are known beforehand, as a rule: where those of all sinks of a transaction are, it takes
    one step of the driver."""

    @abstractmethod
    def steps(self, items: Sequence[T]) -> Sequence[Step] | None:
        """The statements that write the items; None where they depend on what is in the database, and `write` is to
        write them."""

    @abstractmethod
    def check(self, found: list[Rows]) -> None:
        """Raise for what the selects among them found, where nothing is to be written; Outdated where `write` is to
        write the items. Not in the loop."""

    @abstractmethod
    async def write(self, connection: AsyncConnection, items: Sequence[T]) -> None:
        """See Sink."""


Put = tuple[Sink[Any], Any]


@dataclass(frozen=True, slots=True)
class _Entry:
    """Items that are written together or not at all. `since`: when they came, by the loop's clock."""

    puts: Sequence[Put]
    done: "asyncio.Future[None]"
    since: float


_Batch = tuple[Sink[Any], list[Any]]


def _turn(batch: _Batch) -> int:
    return int(getattr(batch[0], "turn", 0))


def _script(batches: Iterable[_Batch]) -> Sequence[Part] | None:
    """The statements of all sinks; None where one of them does not know its own."""
    parts: list[Part] = []
    for sink, items in batches:
        if not isinstance(sink, ScriptSink) or (steps := sink.steps(items)) is None:
            return None
        parts.append((steps, sink.check))
    return parts


class Writer:
    """Writes items in the order in which they come. `limit`: entries that may wait; `batch`: those in one transaction;
    `patience`: seconds that an entry waits for a database that is gone before its writer is told; `failing` is called
    after each attempt that fails for that."""

    def __init__(
        self,
        database: Database,
        *,
        limit: int = 20_000,
        batch: int = 1_000,
        patience: float = 10.0,
        failing: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._metrics = writer_metrics(database.schema.service)
        self._limit = limit
        self._batch = batch
        self._patience = patience
        self._failing = failing
        self._waiting: deque[_Entry] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    def put(self, sink: Sink[T], item: T) -> "asyncio.Future[None]":
        """Write one item; the future is done once it is committed, or has RecordsUnavailable or the sink's error.
        Raises RecordsUnavailable where too many wait already."""
        return self.put_together(((sink, item),))

    def put_together(self, puts: Iterable[Put]) -> "asyncio.Future[None]":
        """The same for several items, in one transaction."""
        if self._closed or len(self._waiting) >= self._limit:
            raise RecordsUnavailable("there is more to record than the database takes")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append(_Entry(tuple(puts), done, loop.time()))
        self._wake.set()
        return done

    async def open(self) -> None:
        self._task = asyncio.create_task(self._run(), name="records-writer")

    async def aclose(self, patience: float | None = None) -> None:
        """Write what there is, for as long as patience lasts, the writer's or this one."""
        self._closed = True
        if patience is not None:
            self._patience = patience
        self._wake.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while not (self._closed and not self._waiting):
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                self._metrics.waiting.set(len(self._waiting))
                count = min(self._batch, len(self._waiting))
                await self._write([self._waiting.popleft() for _ in range(count)])
                await asyncio.sleep(0)  # whoever waited knows of it before the next is written
            self._metrics.waiting.set(0)

    async def _write(self, entries: Sequence[_Entry]) -> None:
        """All at once; those that something is wrong with are found by writing each alone."""
        try:
            await self._patiently(entries)
        except (RecordsUnavailable, NothingWritten) as error:
            self._fail(entries, error)
        except Exception as error:
            if len(entries) == 1:
                LOG.exception("a record was refused")
                self._fail(entries, error)
                return
            for entry in entries:
                await self._write([entry])
        else:
            for entry in entries:
                if not entry.done.done():
                    entry.done.set_result(None)

    async def _patiently(self, entries: Sequence[_Entry]) -> None:
        """Try again while the database is gone and the oldest entry has patience. Raises RecordsUnavailable."""
        clock = asyncio.get_running_loop().time
        began = clock()
        attempt = 0
        while True:
            try:
                return await self._commit(entries)
            except RecordsUnavailable:
                self._failing()
                pause = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
                if clock() + pause > max(entries[0].since + self._patience, began):
                    raise
            attempt += 1
            await asyncio.sleep(pause)

    async def _commit(self, entries: Sequence[_Entry]) -> None:
        by_sink: dict[int, _Batch] = {}
        for entry in entries:
            for sink, item in entry.puts:
                by_sink.setdefault(id(sink), (sink, []))[1].append(item)
        batches = sorted(by_sink.values(), key=_turn)
        with self._metrics.commit_seconds.time():
            script = _script(batches)
            if script is None or not await self._executed(script):
                async with self._database.write() as connection:
                    for sink, items in batches:
                        await sink.write(connection, items)

    async def _executed(self, script: Sequence[Part]) -> bool:
        """False where it was made of what is no longer so."""
        try:
            await self._database.execute(script)
        except Outdated:
            return False
        return True

    def _fail(self, entries: Sequence[_Entry], error: Exception) -> None:
        self._metrics.lost.inc(len(entries))
        LOG.error("records were not written", extra={"records": len(entries), "error": type(error).__name__})
        for entry in entries:
            if not entry.done.done():
                entry.done.set_exception(error)
                entry.done.exception()  # logged above, whether or not anybody waits
