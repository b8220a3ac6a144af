"""Approvals: asked once, decided once, whoever is first; the waiting costs the run nothing."""

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest

from services.orchestrator.domain.event import ApprovalDecided, Body, FinishReason
from services.orchestrator.runs.access import Viewer
from services.orchestrator.runs.agent import Journal, RunInput, RunOutcome
from services.orchestrator.runs.errors import AlreadyDecided, ApprovalNotFound, NotReviewable, TooManyWaiting
from services.orchestrator.runs.execution import RunTerms
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.records import RunFilter, RunRecords
from services.orchestrator.runs.run import Run, RunState
from tests.fakes.serving import until
from tests.fixtures.clock import DrivenClock
from tests.integration.orchestrator.conftest import OpenExecutor
from tests.integration.orchestrator.test_takeover import ASK, Counting, crash, over, start, texts


async def test_the_first_of_many_decides(open_executor: OpenExecutor, records: RunRecords) -> None:
    executor = await open_executor(Counting(approval=True))
    run = await start(executor)
    await until(lambda: run.approvals.pending)
    decisions = [ApprovalDecided("a1", number % 2 == 0, f"person {number}") for number in range(5)]
    results = await asyncio.gather(*(executor.decide(run, each) for each in decisions), return_exceptions=True)
    assert results[0] == decisions[0]
    for refused in results[1:]:
        assert isinstance(refused, AlreadyDecided)
        assert (refused.details["decided_by"], refused.details["approved"]) == ("person 0", "true")
    assert texts(await over(records, run)) == "1234"


async def test_what_is_not_to_be_decided(open_executor: OpenExecutor) -> None:
    executor = await open_executor(Counting(approval=True))
    run = await start(executor)
    await until(lambda: run.approvals.pending)
    with pytest.raises(ApprovalNotFound):
        await executor.decide(run, ApprovalDecided("other", True))
    await executor.cancel(run)
    assert run.info.pending == ()


async def test_a_waiting_run_is_listed_as_one(open_executor: OpenExecutor, records: RunRecords) -> None:
    executor = await open_executor(Counting(approval=True))
    run = await start(executor)
    await until(lambda: run.stored == 3)
    (info,) = await records.newest(Viewer("acme", others=True), 10, None, RunFilter(RunState.WAITING))
    assert info.pending == ("a1",)
    await executor.decide(run, ApprovalDecided("a1", True))
    await over(records, run)
    assert await records.newest(Viewer("acme", others=True), 10, None, RunFilter(RunState.WAITING)) == []


async def test_the_wait_is_not_the_runs_time(
    open_executor: OpenExecutor, records: RunRecords, clock: DrivenClock
) -> None:
    executor = await open_executor(Counting(approval=True), beat=1e6)
    run = await start(executor, seconds=30)
    await until(lambda: run.approvals.pending and run.stored == run.sequence)
    await clock.advance(45)
    await executor.decide(run, ApprovalDecided("a1", True))
    assert texts(await over(records, run)) == "1234"


async def test_without_a_decision_in_time_it_is_no(
    open_executor: OpenExecutor, records: RunRecords, clock: DrivenClock
) -> None:
    executor = await open_executor(Counting(approval=True), beat=1e6)
    run = await executor.start("acme", "rag", ASK, RunTerms(30, expires=time.time() + 60))
    await until(lambda: run.approvals.pending and run.stored == run.sequence)
    await clock.advance(59)
    assert run.approvals.pending
    await clock.advance(2)
    events = await over(records, run)
    decision = next(event.body for event in events if isinstance(event.body, ApprovalDecided))
    assert decision == ApprovalDecided("a1", approved=False)
    assert (await records.get("acme", run.id)).finish_reason is FinishReason.REJECTED  # type: ignore[union-attr]


async def test_a_caller_who_leaves_a_waiting_run_leaves_it_waiting(
    open_executor: OpenExecutor, records: RunRecords
) -> None:
    executor = await open_executor(Counting(approval=True))
    run = await start(executor, detached=False)
    await until(lambda: run.approvals.pending)
    executor.left(run, 30)
    await until(lambda: records.get("acme", run.id))
    assert run.info.state is RunState.WAITING
    await executor.decide(run, ApprovalDecided("a1", True))
    assert texts(await over(records, run)) == "1234"


async def test_waiting_runs_do_not_count_against_the_limit(open_executor: OpenExecutor) -> None:
    executor = await open_executor(Counting(approval=True), limit=1)
    for _ in range(3):
        run = await start(executor)
        await until(lambda run=run: run.approvals.pending)


async def approved(executor: Executor, agent: Counting) -> Run:
    """A run whose caller waits for it, approved, and held before what was approved."""
    run = await start(executor, detached=False)
    await until(lambda: run.approvals.pending)
    await executor.decide(run, ApprovalDecided("a1", True, "ann"))
    await agent.held.wait()
    return run


async def test_what_was_approved_needs_no_caller(open_executor: OpenExecutor, records: RunRecords) -> None:
    agent = Counting(approval=True, hold=2)
    executor = await open_executor(agent)
    run = await approved(executor, agent)
    executor.left(run, 30)
    agent.release.set()
    assert texts(await over(records, run)) == "1234"


async def test_what_was_approved_is_done_after_a_crash(open_executor: OpenExecutor, records: RunRecords) -> None:
    agent = Counting(approval=True, hold=2)
    first = await open_executor(agent)
    run = await approved(first, agent)
    await crash(first)
    await open_executor(Counting(approval=True))
    assert texts(await over(records, run)) == "1234"


async def test_a_replacement_waits_until_it_can_be_checked(open_executor: OpenExecutor, records: RunRecords) -> None:
    executor = await open_executor(Counting(approval=True))
    run = await start(executor)
    await until(lambda: run.approvals.pending)
    with pytest.raises(NotReviewable):
        await executor.decide(run, ApprovalDecided("a1", True, "ann", replacement="other"))
    assert run.approvals.pending == ("a1",)
    await executor.decide(run, ApprovalDecided("a1", True, "ann"))
    assert texts(await over(records, run)) == "1234"


async def test_a_call_s_beginning_is_stored_before_it_is_made(open_executor: OpenExecutor, records: RunRecords) -> None:
    made: list[int] = []

    class Calling(Counting):
        async def run(self, ask: RunInput, journal: Journal) -> AsyncGenerator[Body | RunOutcome, None]:
            await journal.begin("c1")
            made.append(len(await records.events(journal.run_id)))
            yield RunOutcome(FinishReason.STOP)

    executor = await open_executor(Calling())
    run = await start(executor)
    await over(records, run)
    assert made == [2]


async def test_runs_that_wait_are_bounded_too(open_executor: OpenExecutor) -> None:
    """By tenant: another's are begun."""
    executor = await open_executor(Counting(approval=True), limit=1, most_waiting=4)
    waiting = []
    for _ in range(3):
        waiting.append(run := await start(executor))
        await until(lambda run=run: run.approvals.pending)
    with pytest.raises(TooManyWaiting):
        await start(executor)
    await executor.start("other", "rag", ASK, RunTerms(30, detached=True))
    await executor.cancel(waiting[0])
    await until(lambda: waiting[0].over)
