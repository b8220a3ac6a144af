"""Engines for SQLite and PostgreSQL, told apart by the URL."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from services.runtime.records.drivers import Drivers
from services.runtime.records.links import Links

DRIVERS: Mapping[str, str] = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}
PRIVATE = 0o700
SQLITE_READERS = 4
POSTGRES_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Engines:
    """Where is read and where is written; one and the same engine where the database sorts that out itself."""

    reading: AsyncEngine
    writing: AsyncEngine
    drivers: Drivers | Links | None = None

    async def aclose(self) -> None:
        """Close what is in the pools, and what is left of the drivers: threads of SQLite's, connections of
        PostgreSQL's."""
        for engine in {self.reading, self.writing}:
            await engine.dispose()
        if self.drivers is not None:
            await self.drivers.ended()


def parse(url: str) -> URL:
    """The URL with the driver that is used here. Raises ValueError for a database that is not supported."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ValueError(
            "records need a URL: sqlite:///path/of/records.db or postgresql://user@host/database"
        ) from error
    driver = DRIVERS.get(parsed.drivername.split("+")[0])
    if driver is None:
        raise ValueError(f"records are kept in sqlite or postgresql, not in {parsed.drivername!r}")
    if driver.startswith("sqlite") and parsed.database in (None, "", ":memory:"):
        raise ValueError("records in SQLite need a file: sqlite:///path/of/records.db")
    if "sslmode" in parsed.query:  # the word of PostgreSQL's own library, which asyncpg calls ssl
        parsed = parsed.difference_update_query(["sslmode"]).update_query_dict({"ssl": parsed.query["sslmode"]})
    return parsed.set(drivername=driver)


def open_engines(url: URL, timeout: float, name: str = "headworks") -> Engines:
    """Engines whose statements wait at most `timeout` seconds for a lock, a connection or an answer. `name`: what
    PostgreSQL is to call the connections."""
    return _sqlite(url, timeout) if url.get_backend_name() == "sqlite" else _postgres(url, timeout, name)


def data_folder(url: str) -> Path | None:
    """Where the records of that URL are kept on this machine; None for those of a server. Raises ValueError."""
    parsed = parse(url)
    return Path(str(parsed.database)).parent if parsed.get_backend_name() == "sqlite" else None


def make_folder(url: URL) -> None:
    """The folder of an SQLite database, for the owner alone."""
    if url.get_backend_name() == "sqlite":
        Path(str(url.database)).parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)


def _sqlite(url: URL, timeout: float) -> Engines:
    """One writer, so that writers of this process queue up instead of asking again and again; readers never wait."""
    drivers = Drivers(str(url.database), timeout)
    shared: dict[str, Any] = {"max_overflow": 0, "pool_timeout": timeout, **_LEAN}
    reading = create_async_engine(url, async_creator=drivers.reading, pool_size=SQLITE_READERS, **shared)
    writing = create_async_engine(url, async_creator=drivers.writing, pool_size=1, **shared)
    _begin(reading, "BEGIN")
    _begin(writing, "BEGIN IMMEDIATE")
    return Engines(reading, writing, drivers)


def _begin(engine: AsyncEngine, statement: str) -> None:
    @event.listens_for(engine.sync_engine, "begin")
    def _begun(connection: Connection) -> None:
        # The driver has a thread: asked by itself it is one step there and back, where a cursor would be three.
        connection.connection.run_async(lambda driver: driver.execute(statement))


def _postgres(url: URL, timeout: float, name: str) -> Engines:
    server = {"application_name": name, "lock_timeout": str(int(timeout * 1000)), "jit": "off"}
    links = Links()
    told = {
        "timeout": timeout, "command_timeout": timeout, "server_settings": server, "async_creator_fn": links.connect
    }  # fmt: skip
    engine = create_async_engine(
        url,
        pool_size=POSTGRES_CONNECTIONS,
        max_overflow=0,
        pool_timeout=timeout,
        pool_pre_ping=True,
        connect_args=told,
        **_LEAN,
    )
    return Engines(engine, engine, links)


# Statements with their parameters are content: they are kept out of errors and logs.
_LEAN = {"hide_parameters": True}
