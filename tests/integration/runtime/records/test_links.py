"""A database of PostgreSQL that is closed has no connections, whoever left while they were made."""

import asyncio
import gc
from contextlib import suppress

import asyncpg
import pytest
from sqlalchemy import text

from gateway.schema.schema import SCHEMA
from services.runtime.records.database import Database
from services.runtime.records.engine import open_engines, parse

ONE = text("SELECT 1")


async def read(database: Database) -> None:
    async with database.read() as connection:
        await connection.execute(ONE)


async def connections(url: str) -> int:
    """Of others to the database."""
    own = await asyncpg.connect(url)
    try:
        count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        found: int = await own.fetchval(count)
        return found
    finally:
        await own.close()


@pytest.mark.parametrize("steps", range(0, 60, 3))
async def test_who_leaves_at_any_moment_leaves_no_connection(postgres_url: str, steps: int) -> None:
    database = Database(postgres_url, SCHEMA)
    leaving = [asyncio.ensure_future(read(database)) for _ in range(3)]
    for _ in range(steps):
        await asyncio.sleep(0.0005)
    for task in leaving:
        task.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)
    with suppress(asyncio.CancelledError):
        await read(database)
    await database.aclose()
    del database
    gc.collect()  # what is found open now fails the test

    async def none() -> bool:
        return await connections(postgres_url) == 0

    async with asyncio.timeout(20):
        while not await none():  # the server sees to the end of each by a process of its own
            await asyncio.sleep(0.01)


async def test_what_is_in_use_at_the_end_is_closed(postgres_url: str) -> None:
    engines = open_engines(parse(postgres_url), 5)
    held = engines.reading.connect()
    await held.start()
    await engines.aclose()
    driver = (await held.get_raw_connection()).driver_connection
    assert driver is not None
    assert driver.is_closed()
    with suppress(Exception):
        await held.close()
