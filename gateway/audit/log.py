"""The audit as the gateway's other parts use it."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.checkpoints import Checkpoints
from gateway.audit.entry import Actor, AuditEntry, Decision
from gateway.audit.pruning import adopt
from gateway.audit.sink import Actors, AuditSink
from gateway.metadata import new_id
from services.runtime.records.changes import Changes
from services.runtime.records.database import Database
from services.runtime.records.errors import RecordsUnavailable
from services.runtime.records.writer import Put, Writer

AUTHENTICATE = "authenticate"
OTHERS = "others"
log = logging.getLogger(__name__)
# After so long a chain that was begun is signed for.
SOON_SECONDS = 1.0
# The kind of change by which every replica forgets erased actors.
ACTORS_CHANGED = "audit_actors"


class FailedAuthentications:
    """Calls of nobody known, in one entry for each address and reason in a minute, however many there were.

    Counts at most `limit` addresses at a time; those beyond are counted as one.
    """

    def __init__(self, limit: int = 5_000) -> None:
        self._limit = limit
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, address: str, reason: str) -> None:
        key = (address, reason)
        if key not in self._counts and len(self._counts) >= self._limit:
            key = (OTHERS, reason)
        self._counts[key] += 1

    def take(self) -> Iterable[AuditEntry]:
        """What was counted since the last time."""
        counts, self._counts = self._counts, Counter()
        return [
            AuditEntry(AUTHENTICATE, Decision.REFUSED, Actor(address=address), reason=reason, count=count)
            for (address, reason), count in counts.items()
        ]


class AuditLog:
    """Records entries through the shared writer. Every `attempt_seconds` it records refused attempts. It signs the
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
        self._attempts = FailedAuthentications()
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
            (self._attempt_seconds, self._record_attempts, never),
            (self._checkpoint_seconds, self._checkpoints.write, self._sink.began),
        ):
            if seconds:
                self._tasks.append(asyncio.create_task(self._every(seconds, work, sooner), name="audit"))

    async def aclose(self) -> None:
        """Before the writer. Attempts of late are recorded, and the chain left to others."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(RecordsUnavailable):
            await self._record_attempts()
            async with self._database.write() as connection:
                await self._sink.release(connection)

    def put(self, entry: AuditEntry) -> Put:
        """The entry for Writer.put_together, with what has to be committed with it."""
        return self._sink, self._sink.pending(entry)

    def record(self, entry: AuditEntry) -> "asyncio.Future[None]":
        """Append an entry; the future is done once it is committed. Raises RecordsUnavailable where too much waits."""
        return self._writer.put(self._sink, self._sink.pending(entry))

    async def append(self, connection: AsyncConnection, entries: Sequence[AuditEntry]) -> None:
        """Append in the transaction of the change that the entries record: both happen, or neither."""
        await self._sink.append(connection, entries)

    def attempt(self, address: str, reason: str) -> None:
        """Count a call that was refused before it was known whose it is."""
        self._attempts.add(address, reason)

    async def _record_attempts(self) -> None:
        entries = list(self._attempts.take())
        await asyncio.gather(*(self.record(entry) for entry in entries))

    async def _every(self, seconds: float, work: Callable[[], Awaitable[object]], sooner: asyncio.Event) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await sooner.wait()
                await asyncio.sleep(SOON_SECONDS)  # until what was begun is committed
            sooner.clear()
            try:
                await work()
            except RecordsUnavailable:
                log.warning("the audit waits for the records; it is tried again")
