"""The audit as the gateway's other parts use it."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.actors import Actors
from gateway.audit.attempts import Attempts
from gateway.audit.beginning import adopt
from gateway.audit.checkpoints import Checkpoints
from gateway.audit.entry import AuditEntry
from gateway.audit.sink import AuditSink
from gateway.metadata import new_id
from services.runtime.records.changes import Changes
from services.runtime.records.database import Database
from services.runtime.records.errors import RecordsUnavailable
from services.runtime.records.writer import Put, Writer

log = logging.getLogger(__name__)
# After so long a chain that was begun is signed for.
SOON_SECONDS = 1.0
# The kind of change by which every replica forgets erased actors.
ACTORS_CHANGED = "audit_actors"


class AuditLog:
    """Records entries through the shared writer. Every `attempt_seconds` it tells of refused attempts. It signs the
    chains' ends every `checkpoint_seconds` and when it has begun a chain; 0 signs nothing. `replica` is the name of
    this process, which others may have too."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        changes: Changes,
        checkpoints: Checkpoints,
        replica: str = "gateway",
        *,
        attempt_seconds: float = 60.0,
        checkpoint_seconds: float = 300.0,
    ) -> None:
        self._database = database
        self._checkpoints = checkpoints
        self._writer = writer
        self._actors = Actors()
        self._sink = AuditSink(self._actors, new_id(replica[:128]))
        self._attempts = Attempts()
        self._attempt_seconds = attempt_seconds
        self._checkpoint_seconds = checkpoint_seconds
        self._tasks: list[asyncio.Task[None]] = []
        changes.follow(ACTORS_CHANGED, self._actors.forget)

    async def open(self) -> None:
        """After the database and the writer. Raises RecordsUnavailable."""
        async with self._database.write() as connection:
            await adopt(connection, self._checkpoints.seal, self._sink)
        never = asyncio.Event()
        for seconds, work, sooner in (
            (self._attempt_seconds, self._tell_attempts, never),
            (self._checkpoint_seconds, self._checkpoints.write, self._sink.began),
        ):
            if seconds:
                self._tasks.append(asyncio.create_task(self._every(seconds, work, sooner), name="audit"))

    async def aclose(self) -> None:
        """Before the writer. What was attempted lately is told, and the chain left to others."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(RecordsUnavailable):
            await self._tell_attempts()
            async with self._database.write() as connection:
                await self._sink.release(connection)

    def put(self, entry: AuditEntry) -> Put:
        """The entry for Writer.put_together, with what has to be committed with it."""
        return self._sink, self._sink.pending(entry)

    def record(self, entry: AuditEntry) -> "asyncio.Future[None]":
        """Append an entry; the future is done once it is committed. Raises RecordsUnavailable where too much waits."""
        return self._writer.put(self._sink, self._sink.pending(entry))

    async def append(self, connection: AsyncConnection, entries: Sequence[AuditEntry]) -> None:
        """Append in the transaction of the change that the entries tell of: both happen, or neither."""
        await self._sink.append(connection, entries)

    def attempt(self, address: str, reason: str) -> None:
        """Count a call that was refused before it was known whose it is."""
        self._attempts.add(address, reason)

    async def _tell_attempts(self) -> None:
        entries = list(self._attempts.take())
        await asyncio.gather(*(self.record(entry) for entry in entries))

    async def _every(self, seconds: float, work: Callable[[], Awaitable[object]], sooner: asyncio.Event) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(sooner.wait(), seconds)
                await asyncio.sleep(SOON_SECONDS)  # until what was begun is committed
            sooner.clear()
            try:
                await work()
            except RecordsUnavailable:
                log.warning("the audit waits for the records; it is tried again")
