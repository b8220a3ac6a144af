"""Starts runs, each in a task of its own, ends them, and takes up those that a dead process left."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from services.orchestrator import metrics
from services.orchestrator.domain.event import (
    ApprovalDecided,
    ApprovalRequested,
    Event,
    Finished,
    FinishReason,
    Started,
    Timing,
)
from services.orchestrator.runs.access import Viewer
from services.orchestrator.runs.agent import Agent, Agents, RunInput, RunOutcome
from services.orchestrator.runs.errors import RunMoved, TooManyRuns, TooManyWaiting
from services.orchestrator.runs.execution import Execution, RunTerms
from services.orchestrator.runs.identity import RunIdentity
from services.orchestrator.runs.log import EventLog
from services.orchestrator.runs.records import Left, RunRecords
from services.orchestrator.runs.run import Run, new_id
from services.runtime import tracing
from services.runtime.errors import FINAL, DomainError, ErrorKind
from services.runtime.fairness import within_share
from services.runtime.time_limit import TimeLimit

log = logging.getLogger(__name__)

# The identity of a run that another process began. Raises DomainError where it cannot be had.
Identify = Callable[[Left], RunIdentity]
INTERRUPTED = "RUN_INTERRUPTED"


class RunClaims(Protocol):
    """Sessions, of which a run holds one while it is under way."""

    async def claim(self, viewer: Viewer, session_id: str, run_id: str) -> int:
        """How many messages it has. Raises SessionBusy, or SessionTaken where it is not the viewer's."""
        ...

    async def count(self, tenant: str, session_id: str) -> int: ...


class Executor:
    """The runs of one replica that are under way: `limit` at most that work, and `most_waiting` beside them that wait
    for a person. Of both, something is left for tenants with few."""

    def __init__(
        self,
        agents: Agents,
        records: RunRecords,
        limit: int,
        sessions: RunClaims | None = None,
        *,
        most_waiting: int = 10_000,
    ) -> None:
        self.agents = agents
        self._most_waiting = most_waiting
        self._records = records
        self._limit = limit
        self._sessions = sessions
        self._executions: dict[str, Execution] = {}
        self.log = EventLog(records, self._fenced)
        self.rejoin: Callable[[], Awaitable[None]] | None = None
        self._rejoining: asyncio.Task[None] | None = None

    async def start(self, tenant: str, model: str, ask: RunInput, terms: RunTerms) -> Run:
        """Start a run. Raises ModelNotFound, TooManyRuns, SessionBusy, SessionTaken or RecordsUnavailable."""
        self.log.check()
        agent = await self.agents.find(tenant, model)
        self._admit(tenant)
        version, session = agent.version, ask.session_id
        run = Run(new_id(self._records.replica), tenant, agent.name, ask.collection, version, session)
        run.replica, run.subject = self._records.replica, terms.subject
        execution = Execution(run, agent, ask, terms, self.log, done=self._forget)
        self._executions[run.id] = execution
        if session and self._sessions is not None:
            try:
                viewer = Viewer(tenant, terms.subject, terms.others)
                execution.message_count = await self._sessions.claim(viewer, session, run.id)
            except BaseException:
                del self._executions[run.id]
                raise
        event = execution.append(
            Started(
                run.model,
                run.collection,
                version,
                session,
                begins=True,
                prompt=getattr(agent, "prompt", ""),
                callers_prompt=ask.prompt,
            )
        )
        execution.events = (event,)
        self._begin(execution)
        return run

    def _admit(self, tenant: str) -> None:
        """Raises TooManyRuns for a run that has no room, or would leave none to other tenants."""
        if within_share(len(self._executions), len(self._executions), self._limit):
            return
        runs = [each.run for each in self._executions.values()]
        waiting = [run.tenant for run in runs if run.approvals.pending]
        working = [run.tenant for run in runs if not run.approvals.pending]
        if not within_share(working.count(tenant), len(working), self._limit):
            raise TooManyRuns(len(working), self._limit)
        if not within_share(waiting.count(tenant), len(waiting), self._most_waiting):
            raise TooManyWaiting(len(waiting), self._most_waiting)

    def _begin(self, execution: Execution) -> None:
        task = asyncio.create_task(self._execute(execution), name=execution.run.id)
        execution.task = task
        task.add_done_callback(lambda _: self._left(execution))

    def find(self, tenant: str, run_id: str) -> Run | None:
        """A run of the tenant's that is in memory."""
        execution = self._executions.get(run_id)
        return execution.run if execution is not None and execution.run.tenant == tenant else None

    async def history(self, run_id: str, after: int) -> Sequence[Event]:
        """Stored events of a run, for readers who are further behind than its memory."""
        return await self._records.events(run_id, after, 1024)

    async def cancel(self, run: Run) -> None:
        """End a run and wait until that is stored. One that is over stays as it is."""
        execution = self._executions.get(run.id)
        if execution is not None and execution.task is not None and run.finished is None:
            execution.task.cancel()
        await run.ended()

    def left(self, run: Run, seconds: float) -> None:
        """The caller of a run has left. It ends, unless it is detached, or waits for a person: then it is detached
        from now on, and has `seconds` after the decision."""
        execution = self._executions.get(run.id)
        if execution is None or execution.terms.detached or run.finished is not None:
            return
        if run.approvals.pending:
            execution.detach(seconds)
        elif execution.task is not None:
            execution.task.cancel()

    async def decide(self, run: Run, decision: ApprovalDecided) -> ApprovalDecided:
        """Decide an approval; it is stored when this returns. Raises ApprovalNotFound, or AlreadyDecided."""
        execution = self._executions.get(run.id)
        if execution is None:
            raise RunMoved(run.id)
        return await execution.decide(decision)

    async def take_up(self, identify: Identify, seconds: float) -> None:
        """Go on with the runs that a dead process left to this one, or end them. Each has the `seconds` of a detached
        run at most."""
        for left in await self._records.left(self._executions):
            if left.info.id not in self._executions:
                await self._take_up(left, identify, seconds)

    async def _take_up(self, left: Left, identify: Identify, seconds: float) -> None:
        info = left.info
        run = Run(info.id, info.tenant, info.model, info.collection, info.agent_version, info.session_id)
        run.create_time, run.replica, run.subject = info.create_time, self._records.replica, info.subject
        events = await self._records.events(info.id)
        run.restore(events)
        terms = RunTerms(
            min(left.seconds, seconds) or seconds,
            refresh_token=left.refresh_token,
            expires=left.expires,
            detached=True,
            subject=info.subject,
        )
        execution = Execution(run, None, left.ask, terms, self.log, events, inserted=True, done=self._forget)
        self._executions[run.id] = execution
        if run.session_id and self._sessions is not None:
            execution.message_count = await self._sessions.count(run.tenant, run.session_id)
        if run.finished is not None:
            self.log.put(execution)
            return
        try:
            execution.agent = await self._resumable(left, run, events)
            execution.identify(identify(left))
        except DomainError as error:
            self._interrupt(execution, error.message)
            return
        log.info("run taken up", extra={"run_id": run.id, "sequence": run.sequence})
        metrics.PICKED_UP.labels("resumed").inc()
        self._begin(execution)

    async def _resumable(self, left: Left, run: Run, events: Sequence[Event]) -> Agent:
        """The agent that goes on with the run, and the prompt that it began with. Raises DomainError where none can."""
        if not (left.detached or run.approvals.pending):
            raise DomainError("its process died or stood still while its caller waited for it; ask again")
        name = f"{run.model}@{run.agent_version}" if run.agent_version else run.model
        prompt = next((event.body.prompt for event in events if isinstance(event.body, Started)), "")
        agent = await self.agents.find(run.tenant, name, prompt)
        if left.ask is None or not getattr(agent, "resumable", False):
            raise DomainError("its process died, and its agent cannot go on from its events")
        return agent

    def _interrupt(self, execution: Execution, why: str) -> None:
        log.info("run ended that was left", extra={"run_id": execution.run.id, "why": why})
        metrics.PICKED_UP.labels("ended").inc()
        self._finish(execution, Finished(FinishReason.ERROR, INTERRUPTED, why, int(ErrorKind.UNAVAILABLE)), 0.0)

    async def aclose(self) -> None:
        """End all runs but those that another process can go on with, and write what is left to write."""
        tasks = []
        for execution in self._executions.values():
            if execution.task is None or execution.run.finished is not None:
                continue
            waits = execution.terms.detached or bool(execution.run.approvals.pending)
            if waits and getattr(execution.agent, "resumable", False):
                execution.leaving = True
                execution.run.end_unstored(RunMoved(execution.run.id))
            execution.task.cancel()
            tasks.append(execution.task)
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.log.aclose()

    def _fenced(self) -> None:
        """The other replicas have given this one up and have its runs: stop them, and begin anew."""
        log.error("given up by the other replicas; all runs are theirs now", extra={"runs": len(self._executions)})
        self.log.forget()
        executions, self._executions = self._executions, {}
        for execution in executions.values():
            execution.abandon()
            execution.run.end_unstored(RunMoved(execution.run.id))
        if self.rejoin is not None:
            self._rejoining = asyncio.ensure_future(self.rejoin())

    def fenced(self) -> None:
        self._fenced()

    def _forget(self, execution: Execution) -> None:
        self._executions.pop(execution.run.id, None)

    async def _execute(self, execution: Execution) -> None:
        started = time.monotonic()
        run = execution.run
        with metrics.running(run.model), tracing.span(f"invoke_agent {run.model}") as span:
            tracing.describe(span, _begun(run))
            finished = await self._outcome(execution)
            self._end(execution, finished, time.monotonic() - started)
            tracing.describe(span, _over(run, run.finished or finished))

    def _left(self, execution: Execution) -> None:
        """The run's task is over. One that was cancelled before its first step has not ended its run."""
        self._end(execution, Finished(FinishReason.CANCELLED), 0.0)

    def _end(self, execution: Execution, finished: Finished, seconds: float) -> None:
        if execution.run.finished is None and not execution.leaving:
            broken = execution.run.broken
            if isinstance(broken, DomainError):
                finished = Finished(FinishReason.ERROR, broken.reason, broken.message, int(broken.kind))
            self._finish(execution, finished, seconds)

    def _finish(self, execution: Execution, finished: Finished, seconds: float) -> None:
        run, took = execution.run, Timing("orchestrator", seconds)
        execution.append(replace(finished, timings=(took, *finished.timings)))
        metrics.finished(run.model, finished.reason.name, took.seconds, run.usage)

    async def _outcome(self, execution: Execution) -> Finished:
        """Run the agent to its end, whatever that is."""
        run = execution.run
        limit = execution.timer = asyncio.timeout(execution.deadline - time.monotonic())
        try:
            async with limit:
                return await self._drive(execution)
        except asyncio.CancelledError:
            return _failed(execution.lost) if execution.lost else Finished(FinishReason.CANCELLED)
        except DomainError as error:
            if error.kind is ErrorKind.DEADLINE_EXCEEDED:
                return _ended_late(error if time.monotonic() < execution.deadline else _run_limit(execution))
            if error.kind is ErrorKind.UNAVAILABLE and run.usage.completion_tokens:
                error.details[FINAL] = "true"
            return _failed(error)
        except Exception:
            if limit.expired():
                return _ended_late(_run_limit(execution))
            log.exception("run failed", extra={"run_id": run.id})
            return Finished(FinishReason.ERROR, "INTERNAL", f"internal error in {run.id}", int(ErrorKind.INTERNAL))

    async def _drive(self, execution: Execution) -> Finished:
        run, agent, ask = execution.run, execution.agent, execution.ask
        assert agent is not None  # noqa: S101 (who begins an execution has both)
        assert ask is not None  # noqa: S101
        async with execution.identified(), aclosing(agent.run(ask, execution)) as bodies:
            async for body in bodies:
                if isinstance(body, RunOutcome):
                    return Finished(body.reason, timings=body.timings, limit=body.limit)
                event = execution.append(body)
                if isinstance(body, ApprovalRequested):
                    await run.saved(event.sequence)
                else:
                    await execution.keep_up()
        raise RuntimeError(f"agent {run.model} ended without an outcome")


def _begun(run: Run) -> tracing.Attributes:
    return {
        "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": run.model,
        "gen_ai.agent.version": str(run.agent_version or ""), "gen_ai.conversation.id": run.session_id,
        "headworks.run.id": run.id, "headworks.tenant": run.tenant, "headworks.collection": run.collection,
    }  # fmt: skip


def _over(run: Run, finished: Finished) -> tracing.Attributes:
    return {
        "headworks.finish_reason": finished.reason.name.lower(), "error.type": finished.error_reason,
        "gen_ai.usage.input_tokens": run.usage.prompt_tokens,
        "gen_ai.usage.output_tokens": run.usage.completion_tokens,
        "headworks.cost_nanos": run.usage.cost_nanos,
    }  # fmt: skip


def _failed(error: DomainError) -> Finished:
    return Finished(
        FinishReason.ERROR, error.reason, error.message, int(error.kind),
        error_details=error.details, retry_after=error.retry_after,
    )  # fmt: skip


def _run_limit(execution: Execution) -> DomainError:
    """The time of the run itself has passed."""
    return TimeLimit(execution.terms.seconds, execution.terms.limit).passed("the run")


def _ended_late(error: DomainError) -> Finished:
    return Finished(
        FinishReason.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", error.message, int(ErrorKind.DEADLINE_EXCEEDED),
        error_details=error.details,
    )  # fmt: skip
