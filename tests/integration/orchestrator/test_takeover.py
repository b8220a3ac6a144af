"""Runs whose process died are taken up or ended, by one replica at a time."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from services.llm.chat import Message, Role
from services.orchestrator.domain.event import (
    ApprovalDecided,
    ApprovalKind,
    ApprovalRequested,
    Body,
    Event,
    FinishReason,
    TextDelta,
)
from services.orchestrator.runs.agent import Journal, RunInput, RunOutcome
from services.orchestrator.runs.errors import RunMoved
from services.orchestrator.runs.execution import RunTerms
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.identity import Nobody
from services.orchestrator.runs.records import RunRecords
from services.orchestrator.runs.run import Run, RunState
from tests.fakes.agents import FakeAgent
from tests.fakes.serving import until
from tests.integration.orchestrator.conftest import OpenExecutor

ASK = RunInput((Message(Role.USER, "why?"),))


@dataclass
class Counting:
    """Says 1, 2, 3 … `last`, from where its journal ends; with `approval` it asks before it says the second.

    Holds before the number `hold` until `release`.
    """

    last: int = 4
    hold: int | None = None
    approval: bool = False
    name: str = "rag"
    version: int = 1
    description: str = "Counts."
    resumable: bool = True
    held: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    began: int = 0

    async def run(self, ask: RunInput, journal: Journal) -> AsyncGenerator[Body | RunOutcome, None]:
        self.began += 1
        bodies = [event.body for event in journal.events]
        said = sum(isinstance(body, TextDelta) for body in bodies)
        for number in range(said + 1, self.last + 1):
            if number == 2 and self.approval:
                if not any(isinstance(body, ApprovalRequested) for body in bodies):
                    yield ApprovalRequested("a1", ApprovalKind.RUN, "may I?")
                decision = await journal.decision("a1")
                if not decision.approved:
                    yield RunOutcome(FinishReason.REJECTED)
                    return
            if number == self.hold:
                self.held.set()
                await self.release.wait()
            yield TextDelta(str(number))
        yield RunOutcome(FinishReason.STOP)


async def start(executor: Executor, detached: bool = True, seconds: float = 30) -> Run:
    return await executor.start("acme", "rag", ASK, RunTerms(seconds, detached=detached, refresh_token="secret"))


async def crash(executor: Executor) -> None:
    """The process is gone: nothing that it has not stored will be."""
    executor.rejoin = None
    executor.log.forget()
    for execution in list(executor._executions.values()):
        execution.abandon()


def texts(events: Sequence[Event]) -> str:
    return "".join(event.body.text for event in events if isinstance(event.body, TextDelta))


async def over(records: RunRecords, run: Run) -> list[Event]:
    """All events of a run that is over, by its record."""

    async def finished() -> bool:
        info = await records.get("acme", run.id)
        return info is not None and info.finish_reason is not None

    await until(finished)
    events = await records.events(run.id)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    return events


async def test_a_detached_run_goes_on_from_where_it_was(open_executor: OpenExecutor, records: RunRecords) -> None:
    agent = Counting(hold=3)
    first = await open_executor(agent)
    run = await start(first)
    await agent.held.wait()
    await run.saved(3)
    await crash(first)
    again = Counting()
    await open_executor(again)
    assert texts(await over(records, run)) == "1234"
    assert again.began == 1


async def test_a_waiting_run_goes_on_waiting_and_then_on(open_executor: OpenExecutor, records: RunRecords) -> None:
    first = await open_executor(Counting(approval=True))
    run = await start(first, detached=False)
    await until(lambda: run.approvals.pending)
    await run.saved(3)
    await crash(first)
    second = await open_executor(Counting(approval=True))
    found = await until(lambda: second.find("acme", run.id))
    assert (found.info.state, found.info.pending) == (RunState.WAITING, ("a1",))
    decided = await second.decide(found, ApprovalDecided("a1", True, "me"))
    assert decided.approved
    events = await over(records, run)
    assert texts(events) == "1234"
    assert sum(isinstance(event.body, ApprovalRequested) for event in events) == 1


async def test_what_cannot_go_on_ends_as_failed(open_executor: OpenExecutor, records: RunRecords) -> None:
    for detached, agent in ((False, Counting(hold=2)), (True, FakeAgent(hold=1))):
        first = await open_executor(agent)
        run = await start(first, detached)
        await agent.held.wait()
        await run.saved(2)
        await crash(first)
        await open_executor(FakeAgent() if detached else Counting())
        events = await over(records, run)
        last = events[-1].body
        assert (last.reason, last.error_reason) == (FinishReason.ERROR, "RUN_INTERRUPTED")  # type: ignore[union-attr]
        info = await records.get("acme", run.id)
        assert info is not None
        assert info.state is RunState.FAILED


async def test_another_replica_takes_up_the_runs_of_one_that_never_comes_back(
    open_executor: OpenExecutor, records: RunRecords
) -> None:
    agent = Counting(hold=3)
    dead = await open_executor(agent, replica="orchestrator-0", beat=1000)
    run = await start(dead)
    await agent.held.wait()
    await run.saved(3)
    await crash(dead)
    others = [Counting(), Counting()]
    for number, other in enumerate(others, 1):
        await open_executor(other, replica=f"orchestrator-{number}")
    assert texts(await over(records, run)) == "1234"
    assert sum(other.began for other in others) == 1, "one of them"
    info = await records.get("acme", run.id)
    assert info is not None
    assert info.replica in ("orchestrator-1", "orchestrator-2")


async def test_a_replica_that_was_given_up_stops_its_runs_and_begins_anew(
    open_executor: OpenExecutor, records: RunRecords
) -> None:
    agent = Counting(hold=3)
    slow = await open_executor(agent, replica="orchestrator-0")
    run = await start(slow)
    await agent.held.wait()
    await run.saved(3)
    other = Counting()
    taker = await open_executor(other, replica="orchestrator-1", lease=1000)
    theirs, given_up = taker._records, slow._records.incarnation

    async def claimed() -> bool:
        return await theirs.claim(given_up, (await theirs.beat(theirs.incarnation))[given_up])

    await until(claimed)
    await taker.take_up(lambda left: Nobody(), 30)
    await until(lambda: isinstance(run.broken, RunMoved))
    agent.release.set()
    assert texts(await over(records, run)) == "1234"
    await until(lambda: slow.find("acme", run.id) is None)
    again = await start(slow)
    assert texts(await over(records, again)) == "1234"


async def test_an_orderly_end_leaves_runs_that_can_go_on(open_executor: OpenExecutor, records: RunRecords) -> None:
    agent = Counting(hold=3)
    first = await open_executor(agent)
    run = await start(first)
    await agent.held.wait()
    await first.aclose()
    info = await records.get("acme", run.id)
    assert info is not None
    assert info.finish_reason is None
    await open_executor(Counting())
    assert texts(await over(records, run)) == "1234"


async def test_a_decision_outlives_its_process(open_executor: OpenExecutor, records: RunRecords) -> None:
    first = await open_executor(Counting(approval=True, hold=2))
    run = await start(first)
    await until(lambda: run.approvals.pending)
    await first.decide(run, ApprovalDecided("a1", False, "me", "no"))
    await crash(first)
    await open_executor(Counting(approval=True))
    events = await over(records, run)
    assert texts(events) == "1"
    assert events[-1].body.reason is FinishReason.REJECTED  # type: ignore[union-attr]
