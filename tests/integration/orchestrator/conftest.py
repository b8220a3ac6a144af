"""Records in a database of the test's own, on either server, and executors over them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from services.orchestrator.runs.agent import Agent, Agents
from services.orchestrator.runs.executor import Executor, Identify
from services.orchestrator.runs.heartbeat import Heartbeat
from services.orchestrator.runs.identity import Nobody
from services.orchestrator.runs.records import RunRecords
from services.orchestrator.schema.schema import SCHEMA
from services.orchestrator.sessions.store import SessionStore
from services.orchestrator.sessions.window import Sessions
from services.runtime.records.schema import Schema
from tests.fakes.agents import FixedAgents
from tests.fixtures.runs import opened_records

OpenRecords = Callable[..., Awaitable[RunRecords]]
OpenExecutor = Callable[..., Awaitable[Executor]]


@pytest.fixture
def records_schema() -> Schema:
    return SCHEMA


@pytest.fixture
async def open_records(records_url: str) -> AsyncIterator[OpenRecords]:
    """Opens the records of a replica; all of them are in one database."""
    async with AsyncExitStack() as stack:

        async def make(
            replica: str = "orchestrator-0", retained: int = 1000, timeout: float = 5.0, place: str = "here",
            lease: float = 10.0,
        ) -> RunRecords:  # fmt: skip
            opened = opened_records(records_url, replica, retained, timeout, place, lease)
            return await stack.enter_async_context(opened)

        yield make


@pytest.fixture
async def records(open_records: OpenRecords) -> RunRecords:
    return await open_records()


@pytest.fixture
async def open_executor(open_records: OpenRecords) -> AsyncIterator[OpenExecutor]:
    """Opens a replica: its executor, kept alive among the others."""
    opened: list[tuple[Executor, Heartbeat]] = []

    async def make(
        *agents: Agent,
        replica: str = "orchestrator-0",
        limit: int = 100,
        beat: float = 0.05,
        lease: float = 0.5,
        timeout: float = 5.0,
        identify: Identify = lambda left: Nobody(),
        most_waiting: int = 10_000,
        known: Agents | None = None,
    ) -> Executor:
        records = await open_records(replica, timeout=timeout)
        sessions = Sessions(SessionStore(records.database))
        executor = Executor(known or FixedAgents(agents), records, limit, sessions, most_waiting=most_waiting)
        heartbeat = Heartbeat(executor, records, identify, 30, beat, lease)
        await heartbeat.open()
        opened.append((executor, heartbeat))
        return executor

    yield make
    for executor, heartbeat in opened:
        await executor.aclose()
        await heartbeat.aclose()
