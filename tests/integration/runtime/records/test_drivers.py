"""A database of SQLite that is closed has no threads and no open files, whoever left while they were at work."""

import asyncio
import gc
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gateway.schema.schema import SCHEMA
from services.runtime.records.database import Database
from tests.fakes.serving import until

SLOW = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) SELECT max(i) FROM n")
ONE = text("SELECT 1")


@pytest.fixture
def connecting(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set while a connection is made, which takes a while."""
    connect, busy = sqlite3.connect, threading.Event()

    def connect_slowly(path: str, **options: Any) -> sqlite3.Connection:
        busy.set()
        time.sleep(0.1)
        connection: sqlite3.Connection = connect(path, **options)
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_slowly)
    return busy


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Each that the test began: one that finds its loop closed raises, which fails the test."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join()


async def read(database: Database, statement: Any = ONE) -> None:
    async with database.read() as connection:
        await connection.execute(statement)


async def write(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(SLOW)


async def leave(work: Awaitable[None], busy: Callable[[], bool]) -> None:
    """Begin, and be cancelled once `busy`."""
    task = asyncio.ensure_future(work)
    await until(busy)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_who_leaves_while_a_connection_is_made(tmp_path: Path, connecting: threading.Event) -> None:
    async def run() -> None:
        database = Database(f"sqlite:///{tmp_path}/records.db", SCHEMA)
        await database.open()
        connecting.clear()
        await leave(read(database), connecting.is_set)
        await database.aclose()

    asyncio.run(run())


def test_a_database_that_is_closed_as_soon_as_it_is_opened(tmp_path: Path, connecting: threading.Event) -> None:
    async def run() -> None:
        database = Database(f"sqlite:///{tmp_path}/records.db", SCHEMA)
        await database.open()
        await asyncio.sleep(0)  # its checkpointer begins
        await database.aclose()

    asyncio.run(run())


@pytest.mark.parametrize("work", [lambda database: read(database, SLOW), write])
def test_who_leaves_while_a_statement_is_executed(tmp_path: Path, work: Callable[[Database], Awaitable[None]]) -> None:
    async def run() -> None:
        database = Database(f"sqlite:///{tmp_path}/records.db", SCHEMA)
        await database.open()
        await read(database)
        started = time.monotonic()
        await leave(work(database), lambda: time.monotonic() - started > 0.02)
        await database.aclose()

    asyncio.run(run())


def test_who_leaves_at_any_time(tmp_path: Path) -> None:
    path = tmp_path / "records.db"

    async def run() -> None:
        await closed(Database(f"sqlite:///{path}", SCHEMA))
        others = at_work()
        for steps in range(60):
            database = Database(f"sqlite:///{path}", SCHEMA)
            await database.open(migrate=False)
            task = asyncio.ensure_future(read(database))
            for _ in range(steps):
                await asyncio.sleep(0.0001)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await database.aclose()
            assert at_work() == others, steps

    asyncio.run(run())
    gc.collect()  # a statement that its caller left is in the error's traceback, and keeps its connection open
    assert not opened(tmp_path)


async def closed(database: Database) -> None:
    await database.open()
    await database.aclose()


def at_work() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "_connection_worker_thread" in thread.name]


def opened(folder: Path) -> list[Path]:
    """The files in the folder that this process has open."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [link.readlink() for link in links if link.readlink().is_relative_to(folder)]
