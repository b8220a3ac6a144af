"""What is stored, and what happens when it cannot be."""

import asyncio
import signal
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import func, select

from services.orchestrator.domain.event import Body, Finished, FinishReason, StepKind, StepStarted, TextDelta
from services.orchestrator.runs import log as event_log
from services.orchestrator.runs.agent import Journal, RunInput, RunOutcome
from services.orchestrator.runs.execution import AHEAD, RunTerms
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.records import RunRecords
from services.orchestrator.runs.run import Run, RunState
from services.orchestrator.schema.tables import EVENTS
from services.runtime.records.errors import RecordsUnavailable
from tests.fakes.agents import SAYS, FakeAgent
from tests.fakes.serving import until
from tests.fixtures.processes import Postgres
from tests.integration.orchestrator.conftest import OpenExecutor
from tests.integration.orchestrator.test_takeover import ASK, over, start, texts

# Each try of a transaction, where tries fail. One that was broken off costs the next one a new connection, which takes
# a good part of a second on a busy machine; a run that waits for its record is given up after five.
TRY_SECONDS = 1.0


@asynccontextmanager
async def without_writes(url: str) -> AsyncIterator[None]:
    """A database that can be read, in which events cannot be written: each try ends after the records' timeout."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(Path(url.removeprefix("sqlite:///")), isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")
        return
    server = await asyncpg.connect(url)
    try:
        async with server.transaction():
            await server.execute("LOCK TABLE orchestrator_events IN EXCLUSIVE MODE")
            yield
    finally:
        await server.close()


async def test_what_a_reader_sees_is_stored(open_executor: OpenExecutor, records: RunRecords) -> None:
    says: list[Body | RunOutcome] = [*(TextDelta(str(number)) for number in range(50)), RunOutcome(FinishReason.STOP)]
    executor = await open_executor(FakeAgent(says))
    run = await start(executor)
    seen = 0
    async for batch in run.follow(0, executor.history):
        seen = batch[-1].sequence
        assert (await records.events(run.id))[-1].sequence >= seen
    assert seen == 52


async def attached(executor: Executor, model: str = "rag") -> Run:
    """A run that needs its caller."""
    return await executor.start("acme", model, ASK, RunTerms(30))


async def rows_of(records: RunRecords, run: Run) -> int:
    """In how many writes the run's events were stored."""
    async with records.database.read() as connection:
        counted = select(func.count()).select_from(EVENTS).where(EVENTS.c.run_id == run.id)
        return int((await connection.execute(counted)).scalar_one())


async def test_a_short_run_is_written_once_whoever_else_writes(
    open_executor: OpenExecutor, records: RunRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "LINGER_SECONDS", 60)

    class Quick(FakeAgent):
        """Says all that it says in one turn of the loop, as those do that quote."""

        async def run(self, ask: RunInput, journal: Journal) -> AsyncGenerator[Body | RunOutcome, None]:
            yield StepStarted(1, StepKind.RETRIEVE)
            self.held.set()
            await self.release.wait()
            for body in SAYS:
                yield body

    slow = Quick(name="slow")
    executor = await open_executor(slow, FakeAgent())
    run = await attached(executor, "slow")
    await slow.held.wait()
    await (await attached(executor)).ended()
    assert (run.sequence, run.stored) == (2, 0)
    slow.release.set()
    await run.ended()
    assert await rows_of(records, run) == 1
    assert [event.sequence for event in await records.events(run.id)] == [1, 2, 3, 4, 5]


async def test_what_lingers_is_written_in_time(open_executor: OpenExecutor, records: RunRecords) -> None:
    agents = [
        FakeAgent((StepStarted(1, StepKind.RETRIEVE), *SAYS), hold=1, name=name) for name in ("one", "two", "three")
    ]
    executor = await open_executor(*agents)
    runs = []
    for agent in agents:
        runs.append(await attached(executor, agent.name))
        await asyncio.sleep(0.03)
    async with asyncio.timeout(2):
        for run in runs:
            await run.saved(2)
    for agent in agents:
        agent.release.set()


@pytest.mark.parametrize("terms", [(True, ""), (False, "s")], ids=["detached", "of a session"])
async def test_the_start_of_a_run_that_others_rely_on_does_not_linger(
    open_executor: OpenExecutor, monkeypatch: pytest.MonkeyPatch, terms: tuple[bool, str]
) -> None:
    monkeypatch.setattr(event_log, "LINGER_SECONDS", 60)
    agent = FakeAgent(hold=0)
    executor, (detached, session) = await open_executor(agent), terms
    ask = replace(ASK, session_id=session)
    run = await executor.start("acme", "rag", ask, RunTerms(30, detached=detached, refresh_token="secret"))
    async with asyncio.timeout(2):
        await run.saved(1)
    agent.release.set()


async def test_what_lingers_is_written_at_the_end(
    open_executor: OpenExecutor, records: RunRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "LINGER_SECONDS", 60)
    agent = FakeAgent((StepStarted(1, StepKind.RETRIEVE), *SAYS), hold=1)
    agent.resumable = True  # type: ignore[attr-defined]  # what an executor asks of agents
    executor = await open_executor(agent)
    run = await start(executor, detached=True)
    await agent.held.wait()
    await executor.aclose()
    assert [event.sequence for event in await records.events(run.id)] == [1, 2]


async def test_a_short_outage_is_waited_out(
    open_executor: OpenExecutor, records: RunRecords, records_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    agent = FakeAgent(hold=1)
    executor = await open_executor(agent, beat=1000, timeout=TRY_SECONDS)
    run = await start(executor)
    await agent.held.wait()
    await run.saved(2)
    async with without_writes(records_url):
        agent.release.set()
        await until(lambda: "events not written" in caplog.text)
        assert run.stored == 2
        with pytest.raises(RecordsUnavailable):
            await start(executor)
    assert texts(await over(records, run)) == "one two"
    await (await start(executor)).ended()


@pytest.mark.parametrize(
    ("says", "state", "reason"),
    [
        (SAYS, RunState.SUCCEEDED, FinishReason.STOP),
        (None, RunState.FAILED, FinishReason.ERROR),
    ],
    ids=["its answer was whole", "it was under way"],
)
async def test_a_long_outage_ends_runs(
    open_executor: OpenExecutor,
    records: RunRecords,
    records_url: str,
    monkeypatch: pytest.MonkeyPatch,
    says: Sequence[Body | RunOutcome] | None,
    state: RunState,
    reason: FinishReason,
) -> None:
    """Callers hear that the record is gone. What is recorded, once it is back, is what became of the run."""
    monkeypatch.setattr(event_log, "PATIENCE_SECONDS", 0.3)
    agent = FakeAgent(says or (*SAYS[:2], asyncio.Event(), *SAYS[2:]), hold=1)
    executor = await open_executor(agent, beat=1000, timeout=TRY_SECONDS)
    run = await start(executor)
    await agent.held.wait()
    await run.saved(2)
    async with without_writes(records_url):
        agent.release.set()
        with pytest.raises(RecordsUnavailable):
            await run.ended()
        assert run.stored == 2
    events = await over(records, run)
    last = events[-1].body
    assert isinstance(last, Finished)
    assert (last.reason, last.error_reason) == (reason, "" if reason is FinishReason.STOP else "RECORDS_UNAVAILABLE")
    info = await records.get("acme", run.id)
    assert info is not None
    assert (info.state, info.finish_reason) == (state, reason)


async def test_a_run_does_not_outrun_its_record(open_executor: OpenExecutor, records_url: str) -> None:
    class Endless(FakeAgent):
        async def run(self, ask: RunInput, journal: Journal) -> AsyncGenerator[Body | RunOutcome, None]:
            while True:
                yield TextDelta("a")
                await asyncio.sleep(0)

    executor = await open_executor(Endless(), beat=1000)
    async with without_writes(records_url):
        run = await start(executor)
        # It stands still where it is as far ahead as it may be.
        await until(lambda: run.sequence - run.stored > AHEAD)
        for _ in range(1000):
            await asyncio.sleep(0)
        assert run.sequence - run.stored == AHEAD + 1
    await executor.cancel(run)


async def test_what_cannot_be_written_ends_its_own_run_only(open_executor: OpenExecutor, records: RunRecords) -> None:
    bad = FakeAgent([TextDelta("fine"), TextDelta("\ud800"), TextDelta("more"), RunOutcome(FinishReason.STOP)])
    executor = await open_executor(bad, FakeAgent(name="good"))
    run = await start(executor)
    events = await over(records, run)
    assert texts(events) == "fine"
    assert events[-1].body.reason is FinishReason.ERROR  # type: ignore[union-attr]


async def test_what_was_seen_outlives_crashes_of_the_server(
    open_executor: OpenExecutor, records: RunRecords, records_url: str, request: pytest.FixtureRequest
) -> None:
    if records_url.startswith("sqlite"):
        pytest.skip("it is killed with its replica")
    server: Postgres = request.getfixturevalue("postgres_server")

    class Counting(FakeAgent):
        async def run(self, ask: RunInput, journal: Journal) -> AsyncGenerator[Body | RunOutcome, None]:
            for number in range(200):
                yield TextDelta(f"{number} ")
                await asyncio.sleep(0.005)
            yield RunOutcome(FinishReason.STOP)

    executor = await open_executor(Counting(), lease=1000, timeout=2)
    runs = [await start(executor) for _ in range(20)]
    await until(lambda: all(run.stored > 20 for run in runs))
    await asyncio.to_thread(server.stop, signal.SIGKILL)
    await asyncio.sleep(0.2)
    seen = {run.id: run.stored for run in runs}
    await asyncio.to_thread(server.start)
    for run in runs:
        await run.ended()
        events = await over(records, run)
        assert texts(events) == "".join(f"{number} " for number in range(200))
        assert len(events) >= seen[run.id]
