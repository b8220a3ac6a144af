"""Runs begin, end, and are forgotten, whatever their agent does."""

import asyncio
import logging
import time
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.llm.chat import Message, Role
from services.orchestrator.domain.event import Finished, FinishReason, TextDelta, Timing
from services.orchestrator.runs.agent import RunInput, RunOutcome
from services.orchestrator.runs.errors import TooManyRuns
from services.orchestrator.runs.execution import RunTerms
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.records import RunRecords
from services.orchestrator.runs.run import Run, RunState
from services.runtime.errors import CollectionNotFound, DeadlineExceeded, ErrorKind, ModelNotFound
from tests.fakes.agents import FakeAgent
from tests.fakes.serving import until
from tests.integration.orchestrator.conftest import OpenExecutor

ASK = RunInput((Message(Role.USER, "why?"),), "default", 3, 2)


async def start(executor: Executor, seconds: float = 30, **terms: Any) -> Run:
    return await executor.start("acme", "rag", ASK, RunTerms(seconds, **terms))


async def ended(run: Run) -> Finished:
    async with asyncio.timeout(60):
        await run.ended()
    assert run.finished is not None
    return run.finished


async def test_a_run_from_start_to_end(open_executor: OpenExecutor) -> None:
    agent = FakeAgent([TextDelta("a"), RunOutcome(FinishReason.STOP, (Timing("hop", 1.0),))])
    run = await start(await open_executor(agent))
    finished = await ended(run)
    assert [type(event.body).__name__ for event in run.recent] == ["Started", "TextDelta", "Finished"]
    assert (finished.reason, finished.error_code) == (FinishReason.STOP, 0)
    assert [timing.hop for timing in finished.timings] == ["orchestrator", "hop"]
    assert (agent.asked, agent.closed) == ([ASK], 1)


async def test_nothing_found_is_no_error(open_executor: OpenExecutor) -> None:
    finished = await ended(await start(await open_executor(FakeAgent([RunOutcome(FinishReason.NO_ANSWER)]))))
    assert (finished.reason, finished.error_code) == (FinishReason.NO_ANSWER, 0)


@pytest.mark.parametrize(
    ("error", "reason", "word", "code"),
    [
        (CollectionNotFound("cats"), FinishReason.ERROR, "COLLECTION_NOT_FOUND", ErrorKind.NOT_FOUND),
        (DeadlineExceeded("x"), FinishReason.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", ErrorKind.DEADLINE_EXCEEDED),
        (RuntimeError("hunter2"), FinishReason.ERROR, "INTERNAL", ErrorKind.INTERNAL),
        (TimeoutError("of a pool"), FinishReason.ERROR, "INTERNAL", ErrorKind.INTERNAL),
    ],
    ids=repr,
)
async def test_an_agents_error_ends_its_run(
    open_executor: OpenExecutor, error: Exception, reason: FinishReason, word: str, code: ErrorKind
) -> None:
    agent = FakeAgent([TextDelta("a")], error=error)
    finished = await ended(await start(await open_executor(agent)))
    assert (finished.reason, finished.error_reason, finished.error_code) == (reason, word, code)
    assert "hunter2" not in finished.error_message
    assert agent.closed == 1


async def test_the_unexpected_is_in_the_log_under_the_runs_id(
    open_executor: OpenExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    run = await start(await open_executor(FakeAgent([], error=RuntimeError("hunter2"))))
    finished = await ended(run)
    assert run.id in finished.error_message
    (record,) = [record for record in caplog.records if record.message == "run failed"]
    assert record.__dict__["run_id"] == run.id
    assert record.levelno == logging.ERROR


async def test_an_agent_without_an_outcome_has_failed(open_executor: OpenExecutor) -> None:
    finished = await ended(await start(await open_executor(FakeAgent([TextDelta("a")]))))
    assert (finished.reason, finished.error_reason) == (FinishReason.ERROR, "INTERNAL")


async def test_what_an_agent_says_after_its_outcome_is_not_heard(open_executor: OpenExecutor) -> None:
    agent = FakeAgent([RunOutcome(FinishReason.STOP), TextDelta("more")])
    run = await start(await open_executor(agent))
    await ended(run)
    assert (run.sequence, agent.closed) == (2, 1)


async def test_the_deadline_ends_a_run(open_executor: OpenExecutor) -> None:
    agent, started = FakeAgent(hold=1), time.monotonic()
    run = await start(await open_executor(agent), 0.05, limit="HEADWORKS_GATEWAY_MAX_DEADLINE_SECONDS")
    finished = await ended(run)
    assert (finished.reason, finished.error_code) == (FinishReason.DEADLINE_EXCEEDED, ErrorKind.DEADLINE_EXCEEDED)
    assert "within 0.05 seconds, the limit that is set by HEADWORKS_GATEWAY_MAX_DEADLINE" in finished.error_message
    assert finished.error_details == {"limit": "HEADWORKS_GATEWAY_MAX_DEADLINE_SECONDS", "limit_seconds": "0.05"}
    assert run.info.state is RunState.CANCELLED
    assert agent.closed == 1
    assert 0.05 <= time.monotonic() - started < 3


async def test_cancel_ends_a_run_and_its_agent(open_executor: OpenExecutor) -> None:
    agent = FakeAgent(hold=1)
    executor = await open_executor(agent)
    run = await start(executor)
    await agent.held.wait()
    await executor.cancel(run)
    assert (await ended(run)).reason is FinishReason.CANCELLED
    assert agent.closed == 1


async def test_cancel_before_the_first_step_ends_a_run_too(open_executor: OpenExecutor) -> None:
    agent = FakeAgent()
    executor = await open_executor(agent, limit=1)
    run = await start(executor)
    async with asyncio.timeout(60):
        await executor.cancel(run)
    assert (await ended(run)).reason is FinishReason.CANCELLED
    assert agent.asked == []
    await ended(await until(lambda: _try_start(executor)))


async def test_cancel_by_many_and_after_the_end(open_executor: OpenExecutor) -> None:
    agent = FakeAgent(hold=1)
    executor = await open_executor(agent)
    run = await start(executor)
    await agent.held.wait()
    await asyncio.gather(*(executor.cancel(run) for _ in range(5)))
    await executor.cancel(run)
    assert [type(event.body).__name__ for event in run.recent].count("Finished") == 1


async def test_a_run_that_is_over_stays_as_it_is(open_executor: OpenExecutor) -> None:
    executor = await open_executor(FakeAgent())
    run = await start(executor)
    await ended(run)
    await executor.cancel(run)
    assert run.info.state is RunState.SUCCEEDED


async def test_the_limit_is_on_runs_under_way(open_executor: OpenExecutor) -> None:
    agent = FakeAgent(hold=0)
    executor = await open_executor(agent, limit=2)
    runs = [await start(executor) for _ in range(2)]
    with pytest.raises(TooManyRuns):
        await start(executor)
    agent.release.set()
    await asyncio.gather(*(ended(run) for run in runs))
    await ended(await until(lambda: _try_start(executor)))


async def test_one_tenant_leaves_room_for_the_next(open_executor: OpenExecutor) -> None:
    agent = FakeAgent(hold=0)
    executor = await open_executor(agent, limit=8)
    runs = [await start(executor) for _ in range(6)]
    with pytest.raises(TooManyRuns):
        await start(executor)
    runs.append(await executor.start("other", "rag", ASK, RunTerms(30)))
    agent.release.set()
    await asyncio.gather(*(ended(run) for run in runs))


async def _try_start(executor: Executor) -> Run | None:
    try:
        return await start(executor)
    except TooManyRuns:
        return None


async def test_an_unknown_model_starts_nothing(open_executor: OpenExecutor) -> None:
    with pytest.raises(ModelNotFound):
        await (await open_executor(FakeAgent())).start("acme", "gpt", ASK, RunTerms(1))


async def test_a_run_that_is_over_is_in_the_record_only(open_executor: OpenExecutor, records: RunRecords) -> None:
    executor = await open_executor(FakeAgent())
    run = await start(executor)
    await ended(run)
    await until(lambda: executor.find("acme", run.id) is None)
    assert await records.get("acme", run.id) == run.info
    assert await records.events(run.id) == run.recent
    await executor.cancel(run)


async def test_a_tenant_finds_its_own_runs_only(open_executor: OpenExecutor) -> None:
    executor = await open_executor(FakeAgent())
    run = await start(executor)
    assert executor.find("acme", run.id) is run
    assert executor.find("other", run.id) is None
    await ended(run)


async def test_closing_ends_all_runs(open_executor: OpenExecutor) -> None:
    agent = FakeAgent(hold=0)
    executor = await open_executor(agent)
    runs = [await start(executor) for _ in range(5)]
    await agent.held.wait()
    await executor.aclose()
    assert {(await ended(run)).reason for run in runs} == {FinishReason.CANCELLED}


async def test_outcomes_are_counted(open_executor: OpenExecutor) -> None:
    labels = {"model": "rag", "finish_reason": "NO_ANSWER"}
    before = REGISTRY.get_sample_value("headworks_runs_total", labels) or 0
    await ended(await start(await open_executor(FakeAgent([RunOutcome(FinishReason.NO_ANSWER)]))))
    assert REGISTRY.get_sample_value("headworks_runs_total", labels) == before + 1
    assert REGISTRY.get_sample_value("headworks_runs_running", {"model": "rag"}) == 0
