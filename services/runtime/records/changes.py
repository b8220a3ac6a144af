"""How what replicas keep in memory follows the database.

Whoever changes something bumps its kind in the same transaction; every replica asks for all kinds in one query, a few
times a second, and reloads those that changed.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.records.database import Database
from services.runtime.records.errors import RecordsUnavailable
from services.runtime.records.tables import REVISIONS
from services.runtime.records.upsert import upsert

LOG = logging.getLogger(__name__)
POLL_SECONDS = 0.25
TOUCHED = "touched"
Reload = Callable[[], Awaitable[None]]


async def bump(connection: AsyncConnection, kind: str, table: Table = REVISIONS) -> None:
    """Tell every replica that something of this `kind` changes with the transaction of `connection`."""
    first = upsert(table).values(kind=kind, number=1)
    await connection.execute(
        first.on_conflict_do_update(index_elements=[table.c.kind], set_={"number": table.c.number + 1})
    )


class Changes:
    """Reloads what follows a kind, at the start and after each change, on every replica. `table`: the service's own of
    `tables.revisions`."""

    def __init__(self, database: Database, poll_seconds: float = POLL_SECONDS, *, table: Table = REVISIONS) -> None:
        self._database = database
        self._seconds = poll_seconds
        self._table = table
        self._followers: list[tuple[str, Reload]] = []
        self._seen: dict[int, int] = {}
        self._fresh = 0.0
        self._looking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def follow(self, kind: str, reload: Reload) -> None:
        """Call `reload` when this opens, and after each change of `kind`. It is tried again until it succeeds."""
        self._followers.append((kind, reload))

    @property
    def stale_seconds(self) -> float:
        """Seconds since everything in memory was known to be what the database says."""
        return asyncio.get_running_loop().time() - self._fresh

    async def touch(self) -> None:
        """Write something that nobody follows. Raises RecordsUnavailable where nothing can be written."""
        async with self._database.write() as connection:
            await bump(connection, TOUCHED, self._table)

    async def open(self) -> None:
        """Load everything once. Raises RecordsUnavailable."""
        await self.look()
        self._task = asyncio.create_task(self._run(), name="records-changes")

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def look(self) -> None:
        """Follow at once what was committed before this call. Raises whatever a reload raised."""
        async with self._looking:
            asked = asyncio.get_running_loop().time()
            revisions = await self._revisions()
            await self._reload(revisions)
            self._fresh = asked

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.look()
            except RecordsUnavailable:
                continue  # the database has said so in the log
            except Exception:
                LOG.exception("a change cannot be followed; it is tried again")

    async def _revisions(self) -> Mapping[str, int]:
        async with self._database.read() as connection:
            rows = await connection.execute(select(self._table.c.kind, self._table.c.number))
            return {row.kind: row.number for row in rows}

    async def _reload(self, revisions: Mapping[str, int]) -> None:
        """Those that changed, side by side: a slow one does not keep a revoked key waiting."""
        changed = [
            (index, revisions.get(kind, 0), reload)
            for index, (kind, reload) in enumerate(self._followers)
            if self._seen.get(index) != revisions.get(kind, 0)
        ]
        results = await asyncio.gather(*(reload() for _, _, reload in changed), return_exceptions=True)
        failed: list[BaseException] = []
        for (index, number, _), result in zip(changed, results, strict=True):
            if isinstance(result, BaseException):
                failed.append(result)
            else:
                self._seen[index] = number
        if failed:
            raise failed[0]
