"""Starts runs, each in a task of its own, ends them, and keeps the latest in memory."""

import asyncio
import logging
import time
from collections import OrderedDict
from contextlib import aclosing
from dataclasses import replace

from services.orchestrator import metrics
from services.orchestrator.runs.agent import Agent, Agents, Ask, Outcome
from services.orchestrator.runs.errors import TooManyRuns
from services.orchestrator.runs.events import Finished, FinishReason, Timing
from services.orchestrator.runs.records import Records
from services.orchestrator.runs.run import Run, RunInfo, new_id
from services.runtime.errors import DomainError, Kind

log = logging.getLogger(__name__)


class Executor:
    """The runs of one replica: at most `limit` under way, and the last `kept` that are over."""

    def __init__(self, agents: Agents, records: Records, replica: str, limit: int, kept: int) -> None:
        self.agents = agents
        self._records = records
        self._replica = replica
        self._limit = limit
        self._kept = kept
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self, tenant: str, model: str, ask: Ask, seconds: float) -> Run:
        """Start a run that may take `seconds`. Raises ModelNotFound or TooManyRuns."""
        agent = await self.agents.find(tenant, model)
        if len(self._tasks) >= self._limit:
            raise TooManyRuns(self._limit)
        run = Run(
            new_id(self._replica),
            tenant,
            model,
            ask.collection,
            agent.version,
            ask.session_id,
            time.monotonic() + seconds,
        )
        self._runs[run.id] = run
        self._records.put(run.info, run.events)
        task = asyncio.create_task(self._execute(run, agent, ask, seconds), name=run.id)
        self._tasks[run.id] = task
        task.add_done_callback(lambda _: self._left(run))
        self._forget()
        return run

    def find(self, tenant: str, run_id: str) -> Run | None:
        """A run of the tenant's that is in memory."""
        run = self._runs.get(run_id)
        return run if run is not None and run.tenant == tenant else None

    def infos(self, tenant: str) -> list[RunInfo]:
        """The tenant's runs that are in memory."""
        return [run.info for run in self._runs.values() if run.tenant == tenant]

    async def cancel(self, run: Run) -> None:
        """End a run and wait until it is over. One that is over stays as it is."""
        task = self._tasks.get(run.id)
        if task is not None and run.finished is None:
            task.cancel()
            await run.over()

    async def aclose(self) -> None:
        """End all runs."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self) -> None:
        while len(self._runs) - len(self._tasks) > self._kept:
            oldest = next((run for run in self._runs.values() if run.finished), None)
            if oldest is None:
                return
            del self._runs[oldest.id]

    async def _execute(self, run: Run, agent: Agent, ask: Ask, seconds: float) -> None:
        started = time.monotonic()
        with metrics.running(run.model):
            finished = await self._outcome(run, agent, ask, seconds)
            self._finish(run, finished, time.monotonic() - started)

    def _left(self, run: Run) -> None:
        """The run's task is over. One that was cancelled before its first step has not ended its run."""
        del self._tasks[run.id]
        if run.finished is None:
            self._finish(run, Finished(FinishReason.CANCELLED), 0.0)

    def _finish(self, run: Run, finished: Finished, seconds: float) -> None:
        took = Timing("orchestrator", seconds)
        run.append(replace(finished, timings=(took, *finished.timings)))
        metrics.finished(run.model, finished.reason.name, took.seconds, run.usage)
        self._records.put(run.info, run.events)

    async def _outcome(self, run: Run, agent: Agent, ask: Ask, seconds: float) -> Finished:
        """Run the agent to its end, whatever that is."""
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await self._drive(run, agent, ask)
        except asyncio.CancelledError:
            return Finished(FinishReason.CANCELLED)
        except DomainError as error:
            if error.kind is Kind.DEADLINE_EXCEEDED:
                return _late(seconds)
            return Finished(
                FinishReason.ERROR, error.reason, error.message, int(error.kind),
                error_details=error.details, retry_after=error.retry_after,
            )  # fmt: skip
        except Exception:
            if limit.expired():
                return _late(seconds)
            log.exception("run failed", extra={"run_id": run.id})
            return Finished(FinishReason.ERROR, "INTERNAL", f"internal error in {run.id}", int(Kind.INTERNAL))

    async def _drive(self, run: Run, agent: Agent, ask: Ask) -> Finished:
        async with aclosing(agent.run(ask, run)) as bodies:
            async for body in bodies:
                if isinstance(body, Outcome):
                    return Finished(body.reason, timings=body.timings, limit=body.limit)
                run.append(body)
        raise RuntimeError(f"agent {run.model} ended without an outcome")


def _late(seconds: float) -> Finished:
    message = f"the run did not finish within {seconds:.3g} seconds"
    return Finished(FinishReason.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", message, int(Kind.DEADLINE_EXCEEDED))
