"""What the first versions kept of runs is there after the migration, whatever was made of the database in between."""

import asyncio
import json
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command

from gateway.schema.schema import SCHEMA as GATEWAY
from services.orchestrator.domain.event import Finished, FinishReason, TextDelta
from services.orchestrator.runs.access import Viewer
from services.orchestrator.runs.records import RunFilter, RunRecords
from services.orchestrator.runs.run import RunState
from services.orchestrator.schema.schema import SCHEMA
from services.runtime.records.database import Database
from services.runtime.records.migrate import RecordsTooNew, config
from tests.integration.runtime.records.test_migrations import differences

DATA = Path(__file__).parents[3] / "fixtures" / "data_first"
RUNS, LEFT = 21, "run_orchestrator-0_00000000000000000000000000000001"
OLD = sa.Table(
    "runs",
    sa.MetaData(),
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("tenant", sa.String(128), nullable=False),
    sa.Column("replica", sa.String(128), nullable=False),
    sa.Column("model", sa.String(128), nullable=False),
    sa.Column("collection", sa.String(128), nullable=False),
    sa.Column("state", sa.Integer, nullable=False),
    sa.Column("finish_reason", sa.Integer),
    sa.Column("last_sequence", sa.Integer, nullable=False),
    sa.Column("create_time", sa.Float, nullable=False),
    sa.Column("end_time", sa.Float),
    sa.Column("prompt_tokens", sa.Integer, nullable=False),
    sa.Column("completion_tokens", sa.Integer, nullable=False),
    sa.Column("events", sa.LargeBinary),
    sa.Index("runs_by_tenant", "tenant", "create_time", "id"),
    sa.Index("runs_by_state", "replica", "state"),
)
KILLED = """
import asyncio, os, signal, sys
from alembic import op
from services.orchestrator.schema.schema import SCHEMA
from services.runtime.records.database import Database
op.drop_table = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(Database(sys.argv[1], SCHEMA).open())
"""


def old_rows() -> list[dict[str, Any]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript((DATA / "runs.sql").read_text())
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM runs")]


def first_table(connection: sa.Connection) -> None:
    OLD.metadata.create_all(connection)
    connection.execute(sa.insert(OLD), old_rows())


def without_owners(connection: sa.Connection) -> None:
    """All of today's tables, but sessions are nobody's."""
    SCHEMA.metadata.create_all(connection)
    connection.execute(sa.text("DROP INDEX orchestrator_runs_by_subject"))
    connection.execute(sa.text("ALTER TABLE orchestrator_sessions DROP COLUMN subject"))


def tables_without_migrations(connection: sa.Connection) -> None:
    """As runs were kept next: the first table left where it was, no subjects, costs in 32 bits."""
    first_table(connection)
    without_owners(connection)
    for table in ("orchestrator_runs", "orchestrator_messages"):
        connection.execute(sa.text(f"ALTER TABLE {table} DROP COLUMN subject"))
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("ALTER TABLE orchestrator_runs ALTER COLUMN cost_nanos TYPE INTEGER"))


def first_agents(connection: sa.Connection) -> None:
    """As the first versions with agents had it: their table beside that of the runs."""
    first_table(connection)
    SCHEMA.metadata.tables["agents"].create(connection)


def tables_with_subjects(connection: sa.Connection) -> None:
    first_table(connection)
    without_owners(connection)


def migrated_without_the_first_table(connection: sa.Connection) -> None:
    """As an upgrade left it that did not see the first table."""
    first_table(connection)
    command.upgrade(config(connection, SCHEMA), "0003")


STATES: tuple[Callable[[sa.Connection], None], ...] = (
    first_table, first_agents, tables_without_migrations, tables_with_subjects, migrated_without_the_first_table
)  # fmt: skip


@pytest.fixture
async def database(empty_url: str) -> AsyncIterator[Database]:
    """Not migrated yet."""
    database = Database(empty_url, SCHEMA)
    await database.open(migrate=False)
    yield database
    await database.aclose()


async def prepare(database: Database, state: Callable[[sa.Connection], None]) -> None:
    async with database.write() as connection:
        await connection.run_sync(state)


async def migrate(url: str) -> None:
    """As a service does that starts."""
    database = Database(url, SCHEMA)
    try:
        await database.open()
    finally:
        await database.aclose()


async def table_names(database: Database) -> set[str]:
    async with database.read() as connection:
        return await connection.run_sync(lambda sync: set(sa.inspect(sync).get_table_names()))


async def check_all_is_there(database: Database) -> None:
    records = RunRecords(database, "orchestrator-0", 1000)
    runs = await records.newest(Viewer("default", others=True), 100, None, RunFilter())
    before = {row["id"]: row for row in old_rows()}
    assert {run.id for run in runs} == set(before)
    assert len(runs) == RUNS
    for run in runs:
        old, events = before[run.id], await records.events(run.id)
        assert (run.model, run.collection, run.create_time) == (old["model"], old["collection"], old["create_time"])
        assert [event.sequence for event in events] == list(range(1, run.last_sequence + 1))
        assert isinstance(events[-1].body, Finished)
        if run.id == LEFT:
            assert (run.state, events[-1].body.error_reason) == (RunState.FAILED, "RUN_INTERRUPTED")
            continue
        assert (run.state, run.finish_reason, run.end_time) == (RunState.SUCCEEDED, FinishReason.STOP, old["end_time"])
        assert run.usage.completion_tokens == old["completion_tokens"]
        assert any(isinstance(event.body, TextDelta) for event in events)
    await records.join()
    assert await records.left([]) == []
    assert "runs" not in await table_names(database)
    async with database.read() as connection:
        assert await connection.run_sync(differences, SCHEMA) == []


@pytest.mark.parametrize("state", STATES)
async def test_runs_of_the_first_table(
    database: Database, empty_url: str, state: Callable[[sa.Connection], None]
) -> None:
    await prepare(database, state)
    for _ in range(2):
        await migrate(empty_url)
    await check_all_is_there(database)


async def test_a_migration_that_was_killed_goes_on(database: Database, empty_url: str) -> None:
    await prepare(database, first_table)
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, empty_url)
    assert await killed.wait() == -signal.SIGKILL
    assert "runs" in await table_names(database)
    await migrate(empty_url)
    await check_all_is_there(database)


async def test_runs_whose_events_are_not_whole_are_kept(database: Database, empty_url: str) -> None:
    await prepare(database, first_table)
    async with database.write() as connection:
        for row, data in zip(old_rows(), (b"[[1,2", b'[[2,1.0,"Started",{}]]', b"{}", b"[1]", b""), strict=False):
            await connection.execute(sa.update(OLD).where(OLD.c.id == row["id"]).values(events=data))
    await migrate(empty_url)
    records = RunRecords(database, "orchestrator-0", 1000)
    runs = await records.newest(Viewer("default", others=True), 100, None, RunFilter())
    assert len(runs) == RUNS
    for run in runs:
        events = await records.events(run.id)
        assert [event.sequence for event in events] == list(range(1, run.last_sequence + 1))
        assert isinstance(events[-1].body, Finished)
        assert events[-1].body.reason == run.finish_reason


async def test_a_run_that_waited_ends_and_what_its_events_say_of_it_is_kept(database: Database, empty_url: str) -> None:
    def prepared(connection: sa.Connection) -> None:
        first_table(connection)
        one, other = (row["id"] for row in old_rows()[:2])
        connection.execute(sa.update(OLD).where(OLD.c.id == one).values(state=5, events=None, finish_reason=None))
        begun = {"model": "chat", "collection": "", "agent_version": 3, "session_id": "mine"}
        used = {"prompt_tokens": 1, "completion_tokens": 2, "cached_tokens": 4, "cost_nanos": 5}
        events = [[1, 1.0, "Started", begun], [2, 2.0, "UsageReported", used], [3, 3.0, "Finished", {"reason": 1}]]
        connection.execute(sa.update(OLD).where(OLD.c.id == other).values(events=json.dumps(events).encode()))

    await prepare(database, prepared)
    await migrate(empty_url)
    records = RunRecords(database, "orchestrator-0", 1000)
    one, other = [await records.get("default", row["id"]) for row in old_rows()[:2]]
    assert one is not None
    assert other is not None
    assert (one.state, one.finish_reason) == (RunState.FAILED, FinishReason.ERROR)
    assert (other.agent_version, other.session_id) == (3, "mine")
    assert (other.usage.cached_tokens, other.usage.cost_nanos) == (4, 5)


async def test_records_of_the_gateway_from_before_there_were_migrations(empty_url: str) -> None:
    """Made as declared then, which is what the first migration makes."""
    database = Database(empty_url, GATEWAY)
    await database.open(migrate=False)
    async with database.write() as connection:
        await connection.run_sync(lambda sync: command.upgrade(config(sync, GATEWAY), "0001"))
        await connection.execute(sa.text(f"DROP TABLE {GATEWAY.version_table}"))
    await database.aclose()
    for _ in range(2):
        again = Database(empty_url, GATEWAY)
        await again.open()
        async with again.read() as reader:
            assert await reader.run_sync(differences, GATEWAY) == []
        await again.aclose()


async def test_a_table_of_others_stays_as_it_is(database: Database, empty_url: str) -> None:
    async with database.write() as connection:
        await connection.execute(sa.text("CREATE TABLE runs (id VARCHAR(10), distance INTEGER)"))
        await connection.execute(sa.text("INSERT INTO runs VALUES ('one', 5)"))
    await migrate(empty_url)
    async with database.read() as connection:
        assert (await connection.execute(sa.text("SELECT id, distance FROM runs"))).all() == [("one", 5)]


async def test_records_of_a_newer_version_are_refused_as_they_are(database: Database, empty_url: str) -> None:
    await migrate(empty_url)
    async with database.write() as connection:
        versions = sa.table(SCHEMA.version_table, sa.column("version_num"))
        await connection.execute(sa.update(versions).values(version_num="9999"))
    before = await table_names(database)
    with pytest.raises(RecordsTooNew, match=r"newer version of Headworks \(revision 9999\): start that version"):
        await migrate(empty_url)
    assert await table_names(database) == before
