"""SQLite's log is moved into the database, by nobody who writes."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiosqlite
import pytest
from sqlalchemy import insert

from gateway.schema.schema import SCHEMA
from services.runtime.records.checkpoint import Checkpointer
from services.runtime.records.database import Database
from services.runtime.records.drivers import Drivers
from tests.fakes.serving import until
from tests.integration.runtime.records.conftest import METADATA, NOTES, notes_in


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.db"


@pytest.fixture
async def connection(path: Path) -> AsyncIterator[aiosqlite.Connection]:
    async with aiosqlite.connect(path, isolation_level=None) as opened:
        yield opened


async def filled(path: Path, rows: int = 2_000) -> Database:
    """Nothing was moved into the database but by its owner's Checkpointer, which is not at work yet."""
    database = Database(f"sqlite:///{path}", SCHEMA, checkpoint_seconds=3600)
    await database.open()
    async with database.write() as connection:
        await connection.run_sync(METADATA.create_all)
        await connection.execute(insert(NOTES), [{"id": number, "text": "x" * 100} for number in range(rows)])
    return database


async def test_moves_what_was_written(path: Path, connection: aiosqlite.Connection) -> None:
    database = await filled(path)
    before = size(path)
    checkpointer = Checkpointer(Drivers(str(path), 5))
    assert await checkpointer.checkpoint(connection) > 50
    assert size(path) > before
    assert len(await notes_in(database)) == 2_000
    await database.aclose()


async def test_writers_and_readers_do_not_keep_it_waiting(path: Path, connection: aiosqlite.Connection) -> None:
    database = await filled(path)
    async with database.read(), database.write():
        assert await Checkpointer(Drivers(str(path), 5)).checkpoint(connection) > 50
    await database.aclose()


async def test_a_log_that_grew_too_large_is_emptied(path: Path, connection: aiosqlite.Connection) -> None:
    database = await filled(path)
    assert size(log(path)) > 100_000
    await Checkpointer(Drivers(str(path), 5), log_pages=10).checkpoint(connection)
    assert size(log(path)) == 0
    await database.aclose()


async def test_is_at_work_while_the_database_is_open(path: Path) -> None:
    database = Database(f"sqlite:///{path}", SCHEMA, checkpoint_seconds=0.01)
    await database.open()
    async with database.write() as connection:
        await connection.run_sync(METADATA.create_all)
        await connection.execute(insert(NOTES), [{"id": number, "text": "x" * 100} for number in range(5_000)])
    await until(lambda: size(path) > 500_000)
    await database.aclose()


def size(path: Path) -> int:
    return path.stat().st_size


def log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")
