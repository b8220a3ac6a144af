"""Where runs are found: in this replica's memory, then in the record that all replicas share."""

import asyncio
from collections.abc import AsyncIterator

from services.orchestrator.runs.errors import RunNotFound
from services.orchestrator.runs.events import Event
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.records import Records
from services.orchestrator.runs.run import RunInfo


class Directory:
    def __init__(self, executor: Executor, records: Records) -> None:
        self._executor = executor
        self._records = records

    async def get(self, tenant: str, run_id: str) -> RunInfo:
        """A run as it is known here: the memory of another replica may know better while it is under way.

        Raises RunNotFound.
        """
        run = self._executor.find(tenant, run_id)
        if run is not None:
            return run.info
        info = await asyncio.to_thread(self._records.get, tenant, run_id)
        if info is None:
            raise RunNotFound(run_id)
        return info

    async def events(self, tenant: str, run_id: str, after: int) -> AsyncIterator[Event] | None:
        """The events after a sequence number; None where neither memory nor record has them."""
        run = self._executor.find(tenant, run_id)
        if run is not None:
            return run.follow(after)
        recorded = await asyncio.to_thread(self._records.events, tenant, run_id)
        return _replay(recorded, after) if recorded is not None else None

    async def newest(self, tenant: str, limit: int, before: tuple[float, str] | None) -> tuple[list[RunInfo], bool]:
        """A page of runs, newest first, and whether more follow."""
        found = await asyncio.to_thread(self._records.newest, tenant, limit + 1, before)
        fresh = [run.info if (run := self._executor.find(tenant, info.id)) else info for info in found[:limit]]
        return fresh, len(found) > limit

    def missing(self, run_id: str) -> RunNotFound:
        return RunNotFound(run_id)


async def _replay(events: list[Event], after: int) -> AsyncIterator[Event]:
    for event in events[max(after, 0) :]:
        yield event
