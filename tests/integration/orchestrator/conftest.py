"""Records in a database of the test's own, and executors over them."""

import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from services.orchestrator.runs.agent import Agent
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.fixed import FixedAgents
from services.orchestrator.runs.keeper import Keeper
from services.orchestrator.runs.records import Records
from services.orchestrator.sessions.store import SessionStore
from services.orchestrator.sessions.window import Sessions

OpenRecords = Callable[..., Records]
OpenExecutor = Callable[..., Awaitable[Executor]]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    """SQLite; or a new database on the server that HEADWORKS_TEST_POSTGRES names: postgresql+psycopg://user@host/."""
    server = os.environ.get("HEADWORKS_TEST_POSTGRES")
    if not server:
        yield f"sqlite:///{tmp_path}/runs.db"
        return
    name = f"test_{uuid.uuid4().hex}"
    engine = create_engine(f"{server}postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        yield f"{server}{name}"
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def open_records(database: str) -> Iterator[OpenRecords]:
    """Opens the records of a replica; all of them are in one file."""
    opened: list[Records] = []

    def make(replica: str = "orchestrator-0", retained: int = 1000) -> Records:
        records = Records(database, replica, retained)
        records.open()
        opened.append(records)
        return records

    yield make
    for records in opened:
        records.close()


@pytest.fixture
def records(open_records: OpenRecords) -> Records:
    return open_records()


@pytest.fixture
async def open_executor(open_records: OpenRecords) -> AsyncIterator[OpenExecutor]:
    """Opens a replica: its executor, kept alive among the others."""
    opened: list[tuple[Executor, Keeper]] = []

    async def make(
        *agents: Agent, replica: str = "orchestrator-0", limit: int = 100, beat: float = 0.05, lease: float = 0.5
    ) -> Executor:
        records = open_records(replica)
        executor = Executor(FixedAgents(agents), records, limit, Sessions(SessionStore(records.engine)))
        keeper = Keeper(executor, records, lambda token: lambda deadline: None, 30, beat, lease)
        await keeper.open()
        opened.append((executor, keeper))
        return executor

    yield make
    for executor, keeper in opened:
        await executor.aclose()
        await keeper.aclose()
