"""One suite on SQLite and on PostgreSQL."""

import asyncio
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import bindparam, func, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.metadata import new_id
from gateway.schema.schema import SCHEMA
from services.runtime.records import drivers
from services.runtime.records.database import Database
from services.runtime.records.engine import parse
from services.runtime.records.errors import RecordsUnavailable
from services.runtime.records.many import Many, Rows, Step
from services.runtime.records.tables import REVISIONS
from tests.fixtures.processes import Postgres
from tests.integration.runtime.records.conftest import NOTES, notes_in, open_database


async def test_commits_at_the_end_and_undoes_what_an_error_ends(database: Database) -> None:
    async def fail() -> None:
        async with database.write() as connection:
            await connection.execute(insert(NOTES).values(id=2, text="undone"))
            raise ZeroDivisionError

    async with database.write() as connection:
        await connection.execute(insert(NOTES).values(id=1, text="kept"))
    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await notes_in(database) == {1: "kept"}


async def test_an_observer_adds_to_every_change_or_to_none(database: Database) -> None:
    async def add(connection: AsyncConnection) -> None:
        await connection.execute(insert(NOTES).values(id=100, text="observed"))

    observed = database.observed(add)
    await _add(database, 1)
    assert await notes_in(observed) == {1: "x"}
    await _add(observed, 2)
    assert await notes_in(database) == {1: "x", 2: "x", 100: "observed"}
    with pytest.raises(IntegrityError):
        await _add(observed, 3)
    assert 3 not in await notes_in(database)


async def test_a_refused_statement_is_not_an_outage(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(insert(NOTES).values(id=1, text="a"))
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await connection.execute(insert(NOTES).values(id=1, text="b"))
    assert await notes_in(database) == {1: "a"}


@pytest.mark.parametrize("statement", ["SELECT * FROM nothing", "SELEC 1", "INSERT INTO test_notes VALUES (1, NULL)"])
async def test_an_error_in_a_statement_is_not_an_outage(database: Database, statement: str) -> None:
    with pytest.raises(DBAPIError):
        async with database.write() as connection:
            await connection.execute(text(statement))


async def test_a_value_that_does_not_fit_is_not_an_outage(database: Database) -> None:
    with pytest.raises((DBAPIError, OverflowError)):
        async with database.write() as connection:
            await connection.execute(insert(NOTES), [{"id": 1 << 80, "text": "x"}])


async def test_writers_that_read_before_they_write_do_not_lose_updates(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(insert(NOTES).values(id=0, text="0"))

    async def count_up() -> None:
        async with database.write() as connection:
            locked = select(NOTES.c.text).where(NOTES.c.id == 0).with_for_update()
            seen = int((await connection.execute(locked)).scalar_one())
            await connection.execute(NOTES.update().where(NOTES.c.id == 0).values(text=str(seen + 1)))

    await asyncio.gather(*(count_up() for _ in range(50)))
    assert await notes_in(database) == {0: "50"}


async def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(insert(NOTES).values(id=1, text="not yet"))
        assert await notes_in(database) == {}


async def test_a_writer_that_leaves_undoes_its_own_transaction_only(database: Database) -> None:
    inside = asyncio.Event()

    async def leave() -> None:
        async with database.write() as connection:
            await connection.execute(insert(NOTES).values(id=1, text="undone"))
            inside.set()
            await asyncio.sleep(30)

    leaving = asyncio.create_task(leave())
    await inside.wait()
    following = asyncio.create_task(_add(database, 2))
    leaving.cancel()
    await asyncio.gather(leaving, following, return_exceptions=True)
    await _add(database, 3)
    assert await notes_in(database) == {2: "x", 3: "x"}


async def test_a_writer_that_leaves_before_its_turn_leaves_no_transaction(records_url: str) -> None:
    holder, waiter = await open_database(records_url), Database(records_url, SCHEMA)
    try:
        async with holder.write() as connection:
            await connection.execute(insert(NOTES).values(id=1, text="x"))
            leaving = asyncio.create_task(_add(waiter, 1))
            await asyncio.sleep(0.1)
            leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await _add(waiter, 2)
        assert await notes_in(holder) == {1: "x", 2: "x"}
    finally:
        await holder.aclose()
        await waiter.aclose()


def refuse(found: list[Rows]) -> None:
    if found != [[]]:
        raise ZeroDivisionError(found)


INSERT, FIND = Many(insert(NOTES)), Many(select(NOTES.c.id, NOTES.c.text).where(NOTES.c.id == bindparam("of")))


async def test_statements_are_executed_together_or_not_at_all(database: Database) -> None:
    def steps(number: int, of: int) -> list[Step]:
        return [(INSERT, [{"id": number, "text": "x"}]), (FIND, [{"of": of}])]

    await database.execute([(steps(1, 0), refuse)])
    with pytest.raises(ZeroDivisionError, match=r"\[\[\(2, 'x'\)\]\]"):
        await database.execute([(steps(2, 2), refuse)])
    with pytest.raises(IntegrityError):
        await database.execute([([(INSERT, [{"id": 3, "text": "x"}, {"id": 1, "text": "x"}])], refuse)])
    await database.execute([(steps(4, 0), refuse)])
    assert await notes_in(database) == {1: "x", 4: "x"}


async def test_statements_that_wait_for_too_long_are_an_outage(records_url: str) -> None:
    holder, waiter = await open_database(records_url), Database(records_url, SCHEMA, timeout=1)
    steps: list[Step] = [(INSERT, [{"id": 1, "text": "x"}]), (FIND, [{"of": 0}])]
    try:
        async with holder.write() as connection:
            await connection.execute(insert(NOTES).values(id=1, text="x"))
            with pytest.raises(RecordsUnavailable):
                await waiter.execute([(steps, refuse)])
        with pytest.raises(IntegrityError):
            await waiter.execute([(steps, refuse)])
        await _add(waiter, 2)
        assert await notes_in(holder) == {1: "x", 2: "x"}
    finally:
        await holder.aclose()
        await waiter.aclose()


async def test_two_processes_share_a_database(records_url: str, database: Database) -> None:
    other = Database(records_url, SCHEMA)
    await other.open()
    try:
        await asyncio.gather(*(_add(base, n) for n in range(40) for base in [database if n % 2 else other]))
        assert len(await notes_in(database)) == 40
    finally:
        await other.aclose()


async def _add(database: Database, number: int) -> None:
    async with database.write() as connection:
        await connection.execute(insert(NOTES).values(id=number, text="x"))


async def test_replicas_may_migrate_at_the_same_time(records_url: str) -> None:
    replicas = [Database(records_url, SCHEMA) for _ in range(4)]
    try:
        await asyncio.gather(*(replica.open() for replica in replicas))
        async with replicas[0].read() as connection:
            assert (await connection.execute(select(REVISIONS))).all() == []
    finally:
        for replica in replicas:
            await replica.aclose()


async def test_a_transaction_that_takes_too_long_is_given_up(records_url: str) -> None:
    database = await open_database(records_url, timeout=1)
    try:
        with pytest.raises(RecordsUnavailable):
            async with database.write():
                await asyncio.sleep(30)
        await _add(database, 1)
        assert await notes_in(database) == {1: "x"}
    finally:
        await database.aclose()


async def test_a_lock_that_is_held_for_too_long_is_an_outage(records_url: str) -> None:
    holder, waiter = await open_database(records_url), Database(records_url, SCHEMA, timeout=0.2)
    try:
        async with holder.write() as connection:
            await connection.execute(insert(NOTES).values(id=1, text="x"))
            with pytest.raises(RecordsUnavailable):
                await _add(waiter, 1)
    finally:
        await holder.aclose()
        await waiter.aclose()


async def test_says_once_that_the_database_is_gone(
    postgres_server: Postgres, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = await open_database(postgres_url, timeout=1)
    await asyncio.to_thread(postgres_server.stop)
    for _ in range(3):
        with pytest.raises(RecordsUnavailable):
            await notes_in(database)
    await asyncio.to_thread(postgres_server.start)
    for _ in range(2):
        await notes_in(database)
    said = [record.message for record in caplog.records if record.name == "services.runtime.records.database"]
    assert said == ["the records cannot be reached", "the records can be reached again"]
    assert all(getattr(record, "error", "x") for record in caplog.records)
    await database.aclose()


async def test_sqlite_may_not_write_where_it_reads(tmp_path: Path) -> None:
    database = await open_database(f"sqlite:///{tmp_path}/a/b/records.db")
    try:
        assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
        with pytest.raises(RecordsUnavailable):
            async with database.read() as connection:
                await connection.execute(insert(NOTES).values(id=1, text="x"))
        async with database.write() as connection:
            for pragma, expected in (("journal_mode", "wal"), ("synchronous", 1), ("foreign_keys", 1)):
                assert (await connection.execute(text(f"PRAGMA {pragma}"))).scalar_one() == expected
    finally:
        await database.aclose()


async def test_a_file_that_somebody_writes_is_switched_to_its_log_once_they_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(tmp_path / "records.db", isolation_level=None)) as writer:
        writer.executescript("CREATE TABLE other (id INTEGER); BEGIN IMMEDIATE")

        async def pause(_: float) -> None:
            assert writer.in_transaction, "refused though nobody writes"
            writer.execute("COMMIT")

        monkeypatch.setattr(drivers, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": pause}))
        database = await open_database(f"sqlite:///{tmp_path}/records.db")
        assert not writer.in_transaction
        async with database.read() as connection:
            assert (await connection.execute(text("PRAGMA journal_mode"))).scalar_one() == "wal"
        await database.aclose()


async def test_a_cancelled_caller_leaves_the_connection_usable(database: Database) -> None:
    begun = asyncio.Event()

    async def forever() -> None:
        async with database.write() as connection:
            await connection.execute(insert(NOTES).values(id=9, text="x"))
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(forever())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _add(database, 1)
    async with database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(NOTES))).scalar_one() == 1


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("sqlite:///x.db", "sqlite+aiosqlite"),
        ("sqlite+pysqlite:////tmp/x.db", "sqlite+aiosqlite"),
        ("postgresql://u:p@h:5/d", "postgresql+asyncpg"),
        ("postgres://h/d", "postgresql+asyncpg"),
        ("postgresql+psycopg://h/d", "postgresql+asyncpg"),
    ],
)
def test_names_the_driver(given: str, driver: str) -> None:
    assert parse(given).drivername == driver


def test_takes_postgresqls_word_for_tls() -> None:
    assert dict(parse("postgresql://h/d?sslmode=require").query) == {"ssl": "require"}


@pytest.mark.parametrize("given", ["mysql://h/d", "sqlite://", "sqlite:///:memory:"])
def test_refuses_what_it_cannot_keep(given: str) -> None:
    with pytest.raises(ValueError, match="records"):
        parse(given)


def test_ids_are_distinct_and_say_of_what() -> None:
    made = {new_id("key") for _ in range(1000)}
    assert len(made) == 1000
    assert all(one.startswith("key_") and len(one) == 24 for one in made)
