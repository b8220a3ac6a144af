"""The one database of a service: SQLite in a file, or PostgreSQL."""

import asyncio
import copy
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.records.checkpoint import Checkpointer
from services.runtime.records.drivers import Drivers
from services.runtime.records.engine import make_folder, open_engines, parse
from services.runtime.records.errors import RecordsUnavailable, cause_of, translated
from services.runtime.records.kept import KeptConnection
from services.runtime.records.many import Part, execute_all, sqlite_transaction
from services.runtime.records.migrate import migrate as bring_up_to_date
from services.runtime.records.schema import Schema

LOG = logging.getLogger(__name__)
MIGRATION_SECONDS = 120.0
READING, WRITING = "reading", "writing"
Observer = Callable[[AsyncConnection], Awaitable[None]]


class Database:
    """Connections to the records. `timeout`: seconds that one transaction may take, waiting included.
    `checkpoint_seconds`: how often SQLite's log is moved into the database."""

    def __init__(self, url: str, schema: Schema, *, timeout: float = 5.0, checkpoint_seconds: float = 1.0) -> None:
        self.schema = schema
        self._url = parse(url)
        self._timeout = timeout
        self._checkpoint_seconds = checkpoint_seconds
        self._engines = open_engines(self._url, timeout, f"headworks-{schema.service}")
        self._kept = KeptConnection(self._engines.writing)
        self._checkpointer: Checkpointer | None = None
        self._gone: set[str] = set()
        self._before_commit: Observer | None = None

    def observed(self, before_commit: Observer) -> "Database":
        """The same database for those whose every change `before_commit` adds to, in its transaction. Opened and closed
        with this one."""
        other = copy.copy(self)
        other._before_commit = before_commit
        return other

    @property
    def dialect(self) -> str:
        """ "sqlite" or "postgresql"."""
        return self._url.get_backend_name()

    @property
    def refuses_writes(self) -> bool:
        """Whether nothing could be written when somebody last tried."""
        return WRITING in self._gone

    async def open(self, migrate: bool = True) -> None:
        """Make the folder and bring the tables up to date. Raises RecordsUnavailable."""
        make_folder(self._url)
        if migrate:
            async with self._transaction(WRITING, MIGRATION_SECONDS) as connection:
                await bring_up_to_date(connection, self.schema)
        if isinstance(self._engines.drivers, Drivers):
            self._checkpointer = Checkpointer(self._engines.drivers, self._checkpoint_seconds)
            await self._checkpointer.open()

    async def aclose(self) -> None:
        if self._checkpointer is not None:
            await self._checkpointer.aclose()
            self._checkpointer = None
        await self._kept.aclose()
        await self._engines.aclose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection that sees one state of the database and may not write. Raises RecordsUnavailable."""
        async with self._transaction(READING, self._timeout) as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed at the end, undone by an error. On SQLite it is the only one that writes from its
        beginning on. Raises RecordsUnavailable, after which what was written may still have been committed."""
        async with self._transaction(WRITING, self._timeout) as connection:
            yield connection
            if self._before_commit is not None:
                await self._before_commit(connection)

    async def execute(self, parts: Sequence[Part]) -> None:
        """Execute statements in a transaction of their own, undone where a check raises. Raises RecordsUnavailable."""
        if self._before_commit is not None or self.dialect != "sqlite":
            async with self.write() as connection:
                for steps, check in parts:
                    await execute_all(connection, steps, check)
            return
        async with self._reached(WRITING, self._timeout), self._kept.hold() as connection:
            await sqlite_transaction(connection, parts)

    async def execute_alone(self, statement: str, seconds: float) -> None:
        """Execute a statement of PostgreSQL's that no transaction may hold, such as VACUUM, within so many seconds.
        Cancelled, it is cancelled at the server. Raises RecordsUnavailable."""
        async with self._reached(WRITING, seconds), self._engines.writing.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            await driver.execute(statement, timeout=seconds)  # type: ignore[union-attr]  # asyncpg's own connection

    @asynccontextmanager
    async def _transaction(self, what: str, seconds: float) -> AsyncIterator[AsyncConnection]:
        engine = self._engines.writing if what == WRITING else self._engines.reading
        async with self._reached(what, seconds):
            if what == WRITING and self.dialect == "sqlite":
                async with self._kept.hold() as connection, connection.begin():
                    yield connection
            else:
                async with engine.begin() as connection:
                    yield connection

    @asynccontextmanager
    async def _reached(self, what: str, seconds: float) -> AsyncIterator[None]:
        try:
            with translated():
                async with asyncio.timeout(seconds):
                    yield
        except RecordsUnavailable as error:
            self._note(what, error)
            raise
        self._note(what, None)

    def _note(self, what: str, error: RecordsUnavailable | None) -> None:
        """Log when the records are gone and when they are back, not every call between. A full disk can be read."""
        before = bool(self._gone)
        if error is None:
            self._gone.discard(what)
        else:
            self._gone.add(what)
        if error is not None and not before:
            LOG.warning("the records cannot be reached", extra={"error": cause_of(error)})
        elif before and not self._gone:
            LOG.warning("the records can be reached again")
