"""Tables brought up to date in the background: vacuumed where they have grown, their vectors indexed.

The index is made while others read and write. A build that ends half way, with its process or for a lock, leaves an
index that PostgreSQL holds for invalid: it is made anew the next time that somebody asks.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retrieval.store.pgvector import statements
from services.retrieval.store.pgvector.tables import GenerationTables
from services.runtime.errors import DomainError
from services.runtime.records.database import Database

LOG = logging.getLogger(__name__)
INDEX_FROM = 20_000
"""Points, as for the other engines: of fewer, all are compared in a few hundredths of a second."""
GROWTH = 1.3
FIRST = 1_000
SECONDS = 4 * 3600.0

_STATE = text(
    "SELECT (SELECT reltuples FROM pg_class WHERE oid = to_regclass(:points)),"
    " (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:hnsw)),"
    " EXISTS (SELECT FROM pg_stat_progress_create_index WHERE index_relid = to_regclass(:hnsw))"
)
_CANCEL = text(
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = current_user AND pid IN ("
    "SELECT pid FROM pg_stat_progress_create_index WHERE relid = to_regclass(:points)"
    " UNION SELECT pid FROM pg_stat_progress_vacuum WHERE relid IN (to_regclass(:points), to_regclass(:terms))"
    " UNION SELECT pid FROM pg_stat_progress_analyze WHERE relid IN (to_regclass(:points), to_regclass(:terms)))"
)


async def is_indexed(connection: AsyncConnection, tables: GenerationTables) -> bool:
    """Whether there is an index of the vectors to search by."""
    _, valid, _ = (await connection.execute(_STATE, {"points": tables.points.name, "hnsw": tables.hnsw})).one()
    return bool(valid)


async def cancel(connection: AsyncConnection, tables: GenerationTables) -> None:
    """End what any replica does to the tables in the background; it would hold up who drops them."""
    await connection.execute(_CANCEL, {"points": tables.points.name, "terms": tables.terms.name})


class Maintenance:
    """One of the tables at a time. Those of `index_from` points or more get an index of their vectors."""

    def __init__(self, database: Callable[[], Awaitable[Database]], index_from: int = INDEX_FROM) -> None:
        self._database = database
        self._index_from = index_from
        self._one = asyncio.Lock()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()

    def wake(self, tables: GenerationTables) -> None:
        """See to the tables; once more where that is under way."""
        name = str(tables.points.name)
        if name in self._running:
            self._again.add(name)
            return
        task = asyncio.create_task(self._run(name, tables), name=f"maintain-{name}")
        self._running[name] = task

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._running:
            await asyncio.wait(self._running.values())

    async def aclose(self) -> None:
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, name: str, tables: GenerationTables) -> None:
        try:
            while True:
                self._again.discard(name)
                await self._see_to(tables)
                if name not in self._again:
                    return
        except (DomainError, SQLAlchemyError, OSError) as error:
            LOG.warning("a collection's tables were not seen to", extra={"table": name, "error": type(error).__name__})
        finally:
            del self._running[name]

    async def _see_to(self, tables: GenerationTables) -> None:
        database = await self._database()
        async with self._one:
            async with database.read() as connection:
                points = (await connection.execute(statements.size(tables))).scalar_one()
                names = {"points": tables.points.name, "hnsw": tables.hnsw}
                known, valid, under_way = (await connection.execute(_STATE, names)).one()
            if points > FIRST + GROWTH * max(known, 0):
                await database.execute_alone(tables.vacuum(), SECONDS)
            if points >= self._index_from and not valid and not under_way:
                await self._index(database, tables, left=valid is not None)

    async def _index(self, database: Database, tables: GenerationTables, *, left: bool) -> None:
        """Index the vectors; `left` says that a build that ended half way has left something."""
        if left:
            await database.execute_alone(tables.drop_index(), SECONDS)
        try:
            await database.execute_alone(tables.index_vectors(), SECONDS)
        except DomainError:
            with suppress(DomainError):
                await database.execute_alone(tables.drop_index(), SECONDS)
            raise
