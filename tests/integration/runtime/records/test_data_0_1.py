"""Data that version 0.1 made is there after the migration, and goes on."""

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy import func, inspect, select, text

from gateway.audit.seal import Seal
from gateway.audit.verify import Verifier
from gateway.budgets.tables import BUDGETS
from gateway.identity.tables import API_KEYS
from gateway.schema.schema import SCHEMA as GATEWAY
from gateway.usage.tables import USAGE
from services.orchestrator.agents.specs.store import AgentStore
from services.orchestrator.runs.access import Viewer
from services.orchestrator.runs.records import RunFilter, RunRecords
from services.orchestrator.runs.run import RunState
from services.orchestrator.schema.schema import SCHEMA as ORCHESTRATOR
from services.orchestrator.sessions.store import SessionStore
from services.runtime.records.database import Database
from services.runtime.records.schema import Schema
from tests.fakes.identity import Keys
from tests.integration.runtime.records.test_migrations import differences

DATA = Path(__file__).parents[3] / "fixtures" / "data_0_1"
KEY = "hw_8CBAtDFLb29J34fi2NDQnxhBAEfGWkzl_MV2wIjt"


async def migrated(stack: AsyncExitStack, folder: Path, schema: Schema) -> Database:
    """The service's data, opened by the present version."""
    path = folder / f"{schema.service}.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((DATA / f"{schema.service}.sql").read_text())
    database = Database(f"sqlite:///{path}", schema)
    stack.push_async_callback(database.aclose)
    await database.open()
    async with database.read() as reader:
        assert await reader.run_sync(differences, schema) == []
    return database


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def test_runs_sessions_and_agents(stack: AsyncExitStack, tmp_path: Path) -> None:
    database = await migrated(stack, tmp_path, ORCHESTRATOR)
    records = RunRecords(database, "orchestrator-0", 1000, lease=0.1)
    runs = await records.newest(Viewer("default", others=True), 100, None, RunFilter())
    assert [run.state for run in runs] == [RunState.RUNNING, *[RunState.SUCCEEDED] * 5]
    for run in runs[1:]:
        events = await records.events(run.id)
        assert [event.sequence for event in events] == list(range(1, run.last_sequence + 1))
    while await records.join():  # the process that it was did not end in peace
        await asyncio.sleep(0.05)
    (left,) = await records.left([])
    assert (left.info.id, left.detached, left.info.subject) == (runs[0].id, True, "dev")
    sessions = SessionStore(database)
    assert {session.subject for session in await sessions.latest(Viewer("default", others=True), 10, None)} == {"dev"}
    assert {
        session.id: session.message_count for session in await sessions.latest(Viewer("default", others=True), 10, None)
    } == {
        "rivers": 4,
        "bees": 2,
    }
    assert (await sessions.messages("default", "rivers"))[-1].content == "The Rhine."
    agents = AgentStore(database)
    assert await agents.latest("default") == {"clerk": 2}
    assert (await agents.apply("default", "old", "name: old", "d"))[0].version == 2, "a deleted number stays taken"


async def test_keys_budgets_usage_and_audit(stack: AsyncExitStack, tmp_path: Path, keys: Keys) -> None:
    database = await migrated(stack, tmp_path, GATEWAY)
    async with database.read() as connection:
        digest = hashlib.sha256(KEY.encode()).hexdigest()
        named = select(API_KEYS.c.name).where(API_KEYS.c.sha256 == digest, API_KEYS.c.revoked.is_(None))
        assert (await connection.execute(named)).scalar_one() == "first"
        for table, rows in ((API_KEYS, 2), (BUDGETS, 1), (USAGE, 7)):
            assert (await connection.execute(select(func.count()).select_from(table))).scalar_one() == rows
    report = await Verifier(database, Seal(keys.private_pem).check).verify()
    assert report.sound
    assert report.records == 21


async def test_tables_from_before_there_were_migrations(empty_url: str) -> None:
    database = Database(empty_url, ORCHESTRATOR)
    await database.open(migrate=False)
    async with database.write() as connection:
        await connection.run_sync(ORCHESTRATOR.metadata.create_all)
        await connection.execute(text("DROP INDEX orchestrator_runs_by_subject"))
        for table in ("orchestrator_runs", "orchestrator_messages", "orchestrator_sessions"):
            await connection.execute(text(f"ALTER TABLE {table} DROP COLUMN subject"))
    await database.aclose()
    for _ in range(2):
        again = Database(empty_url, ORCHESTRATOR)
        await again.open()
        async with again.read() as reader:
            assert await reader.run_sync(differences, ORCHESTRATOR) == []
        await again.aclose()


async def test_services_share_a_database(empty_url: str, stack: AsyncExitStack) -> None:
    for schema in (GATEWAY, ORCHESTRATOR, GATEWAY):
        database = Database(empty_url, schema)
        stack.push_async_callback(database.aclose)
        await database.open()
    async with database.read() as reader:
        tables = await reader.run_sync(lambda sync: set(inspect(sync).get_table_names()))
        for schema in (GATEWAY, ORCHESTRATOR):
            assert tables >= {*schema.metadata.tables, schema.version_table}
            assert await reader.run_sync(differences, schema) == []
