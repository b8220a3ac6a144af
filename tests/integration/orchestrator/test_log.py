"""What is stored, and what happens when it cannot be."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from services.orchestrator.runs import log as event_log
from services.orchestrator.runs.agent import Ask, Journal, Outcome
from services.orchestrator.runs.errors import RecordsUnavailable
from services.orchestrator.runs.events import Body, Finished, FinishReason, TextDelta
from services.orchestrator.runs.execution import AHEAD
from services.orchestrator.runs.records import Records
from tests.fakes.agents import FakeAgent
from tests.fakes.serving import until
from tests.integration.orchestrator.conftest import OpenExecutor
from tests.integration.orchestrator.test_takeover import over, start, texts


@contextmanager
def without_events(database: str) -> Iterator[None]:
    """A database in which events cannot be written."""
    with closing(sqlite3.connect(Path(database.removeprefix("sqlite:///")))) as connection:
        connection.execute("ALTER TABLE orchestrator_events RENAME TO elsewhere")
        connection.commit()
        try:
            yield
        finally:
            connection.execute("ALTER TABLE elsewhere RENAME TO orchestrator_events")
            connection.commit()


async def test_what_a_reader_sees_is_stored(open_executor: OpenExecutor, records: Records) -> None:
    says: list[Body | Outcome] = [*(TextDelta(str(number)) for number in range(50)), Outcome(FinishReason.STOP)]
    executor = await open_executor(FakeAgent(says))
    run = await start(executor)
    seen = 0
    async for batch in run.follow(0, executor.history):
        seen = batch[-1].sequence
        assert records.events(run.id)[-1].sequence >= seen
    assert seen == 52


async def test_a_short_outage_is_waited_out(
    open_executor: OpenExecutor, records: Records, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    agent = FakeAgent(hold=1)
    executor = await open_executor(agent, beat=1000)
    run = await start(executor)
    await agent.held.wait()
    await run.saved(2)
    with without_events(database):
        agent.release.set()
        await until(lambda: "events not written" in caplog.text)
        assert run.stored == 2
        with pytest.raises(RecordsUnavailable):
            await start(executor)
    assert texts(await over(records, run)) == "one two"
    await (await start(executor)).ended()


async def test_a_long_outage_ends_runs_as_failed(
    open_executor: OpenExecutor, records: Records, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "PATIENCE_SECONDS", 0.3)
    agent = FakeAgent(hold=1)
    executor = await open_executor(agent, beat=1000)
    run = await start(executor)
    await agent.held.wait()
    await run.saved(2)
    with without_events(database):
        agent.release.set()
        with pytest.raises(RecordsUnavailable):
            await run.ended()
        assert run.stored == 2
    events = await over(records, run)
    assert isinstance(events[-1].body, Finished)
    info = records.get("acme", run.id)
    assert info is not None
    assert info.finish_reason in (FinishReason.ERROR, FinishReason.STOP)


async def test_a_run_does_not_outrun_its_record(open_executor: OpenExecutor, database: str) -> None:
    class Endless(FakeAgent):
        async def run(self, ask: Ask, journal: Journal) -> AsyncGenerator[Body | Outcome, None]:
            while True:
                yield TextDelta("a")
                await asyncio.sleep(0)

    executor = await open_executor(Endless(), beat=1000)
    run = await start(executor)
    with without_events(database):
        await until(lambda: run.sequence - run.stored > AHEAD // 2)
        await asyncio.sleep(0.3)
        assert run.sequence - run.stored <= AHEAD + 1
    await executor.cancel(run)


async def test_what_cannot_be_written_ends_its_own_run_only(open_executor: OpenExecutor, records: Records) -> None:
    bad = FakeAgent([TextDelta("fine"), TextDelta("\ud800"), TextDelta("more"), Outcome(FinishReason.STOP)])
    executor = await open_executor(bad, FakeAgent(name="good"))
    run = await start(executor)
    events = await over(records, run)
    assert texts(events) == "fine"
    assert events[-1].body.reason is FinishReason.ERROR  # type: ignore[union-attr]
