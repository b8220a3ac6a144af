"""What is in memory follows the database, on every replica."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.schema.schema import SCHEMA
from services.runtime.records.changes import Changes, bump
from services.runtime.records.database import Database
from services.runtime.records.errors import RecordsUnavailable
from tests.fixtures.processes import Postgres
from tests.integration.runtime.records.conftest import open_database


class Follower:
    """Counts its reloads, and fails while told to."""

    def __init__(self) -> None:
        self.loads = 0
        self.broken = False

    async def __call__(self) -> None:
        self.loads += 1
        if self.broken:
            raise RuntimeError("cannot load")


async def change(database: Database, kind: str) -> None:
    async with database.write() as connection:
        await bump(connection, kind)


async def within(seconds: float, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)


def following(database: Database, *followers: tuple[str, Callable[[], Awaitable[None]]]) -> Changes:
    changes = Changes(database, poll_seconds=0.02)
    for kind, reload in followers:
        changes.follow(kind, reload)
    return changes


async def test_reloads_at_the_start_and_what_changed(records_url: str, database: Database) -> None:
    other = Database(records_url, SCHEMA)
    keys, limits = Follower(), Follower()
    changes = following(database, ("keys", keys), ("limits", limits))
    await changes.open()
    assert (keys.loads, limits.loads) == (1, 1)
    await change(other, "keys")
    await within(2, lambda: keys.loads == 2)
    await change(other, "keys")
    await change(other, "limits")
    await within(2, lambda: (keys.loads, limits.loads) == (3, 2))
    await changes.aclose()
    await other.aclose()


async def test_a_change_that_is_undone_is_none(database: Database) -> None:
    keys = Follower()
    changes = following(database, ("keys", keys))
    await changes.open()

    async def fail() -> None:
        async with database.write() as connection:
            await bump(connection, "keys")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await changes.look()
    assert keys.loads == 1
    await changes.aclose()


async def test_follows_at_once_on_request(database: Database) -> None:
    keys = Follower()
    changes = Changes(database, poll_seconds=3600)
    changes.follow("keys", keys)
    await changes.open()
    await change(database, "keys")
    await changes.look()
    assert keys.loads == 2
    await changes.aclose()


async def test_a_reload_that_fails_is_tried_again_and_counts_as_stale(database: Database) -> None:
    keys, limits = Follower(), Follower()
    changes = following(database, ("keys", keys), ("limits", limits))
    await changes.open()
    keys.broken = True
    await change(database, "keys")
    await change(database, "limits")
    await within(2, lambda: keys.loads > 3 and limits.loads == 2)
    await within(2, lambda: changes.stale_seconds > 0.1)
    keys.broken = False
    await within(2, lambda: changes.stale_seconds < 0.1)
    await changes.aclose()


async def test_says_how_stale_it_is_while_the_database_is_gone(postgres_server: Postgres, postgres_url: str) -> None:
    database = await open_database(postgres_url, timeout=1)
    keys = Follower()
    changes = following(database, ("keys", keys))
    await changes.open()
    await asyncio.to_thread(postgres_server.stop)
    with pytest.raises(RecordsUnavailable):
        await changes.look()
    await within(5, lambda: changes.stale_seconds > 0.3)
    await asyncio.to_thread(postgres_server.start)
    await change(database, "keys")
    await within(5, lambda: keys.loads == 2 and changes.stale_seconds < 0.3)
    await changes.aclose()
    await database.aclose()
