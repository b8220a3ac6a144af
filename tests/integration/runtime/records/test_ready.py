"""Whether the records can be reached, for readiness."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import insert

from services.runtime.records.changes import Changes
from services.runtime.records.database import Database
from services.runtime.records.errors import RecordsUnavailable
from services.runtime.records.ready import RecordsReady
from tests.fakes.serving import until
from tests.fixtures.processes import Postgres
from tests.integration.runtime.records.conftest import NOTES, open_database


@asynccontextmanager
async def checked(url: str) -> AsyncIterator[tuple[Database, Callable[[], Awaitable[bool]]]]:
    """A database, and whether its check passes now."""
    database = await open_database(url, timeout=0.5)
    changes = Changes(database, poll_seconds=0.05)
    await changes.open()
    check = RecordsReady(database, changes)

    async def passes() -> bool:
        try:
            return await check()
        except RecordsUnavailable:
            return False

    try:
        yield database, passes
    finally:
        await changes.aclose()
        await database.aclose()


async def fails(passes: Callable[[], Awaitable[bool]]) -> None:
    async def failed() -> bool:
        return not await passes()

    await until(failed)


async def test_records_that_are_there(records_url: str) -> None:
    async with checked(records_url) as (_, passes):
        await until(passes)


@pytest.mark.parametrize(("goes", "returns"), [(Postgres.stop, Postgres.start), (Postgres.pause, Postgres.resume)])
async def test_a_server_that_is_gone_or_hangs_and_comes_back(
    postgres_server: Postgres, postgres_url: str, goes: Callable[..., None], returns: Callable[..., None]
) -> None:
    async with checked(postgres_url) as (_, passes):
        await until(passes)
        await asyncio.to_thread(goes, postgres_server)
        try:
            await fails(passes)
        finally:
            await asyncio.to_thread(returns, postgres_server)
        await until(passes)


async def test_what_can_be_read_and_not_written(tmp_path: Path) -> None:
    """The check itself finds out that writing is possible again: nobody else may try."""
    async with checked(f"sqlite:///{tmp_path}/records.db") as (database, passes):
        await until(passes)
        full = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
        full.execute("BEGIN IMMEDIATE")  # whoever writes waits, whoever reads does not: as on a disk that is full
        assert await passes()
        with pytest.raises(RecordsUnavailable):
            async with database.write() as connection:
                await connection.execute(insert(NOTES).values(id=1, text="x"))
        assert not await passes()
        full.rollback()
        full.close()
        await until(passes)


async def test_reading_does_not_hide_that_nothing_can_be_written(records_url: str) -> None:
    async with checked(records_url) as (database, _):
        with pytest.raises(RecordsUnavailable):
            async with database.write():
                await asyncio.sleep(30)
        async with database.read():
            pass
        assert database.refuses_writes
        async with database.write() as connection:
            await connection.execute(insert(NOTES).values(id=1, text="x"))
        assert not database.refuses_writes
