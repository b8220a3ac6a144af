"""Where runs are found: in this replica's memory, then in the record that all replicas share."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from services.orchestrator.runs.events import Event
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.records import Records
from services.orchestrator.runs.run import MOST_AT_ONCE, RunInfo


class Directory:
    def __init__(self, executor: Executor, records: Records) -> None:
        self._executor = executor
        self._records = records

    async def get(self, tenant: str, run_id: str) -> RunInfo | None:
        """A run as it is known here, if it is: the memory of another replica may know better while it is under way,
        and alone knows it in its first moments."""
        run = self._executor.find(tenant, run_id)
        if run is not None:
            return run.info
        return await asyncio.to_thread(self._records.get, tenant, run_id)

    async def events(self, tenant: str, run_id: str, after: int) -> AsyncIterator[Sequence[Event]] | None:
        """The events after a sequence number; None where neither memory nor record has them."""
        run = self._executor.find(tenant, run_id)
        if run is not None:
            return run.follow(after)
        recorded = await asyncio.to_thread(self._records.events, tenant, run_id)
        return _replay(recorded, after) if recorded is not None else None

    async def newest(self, tenant: str, limit: int, before: tuple[float, str] | None) -> tuple[list[RunInfo], bool]:
        """A page of runs, newest first, and whether more follow.

        Runs of other replicas appear once their record is written, a tenth of a second after they start.
        """
        found = {info.id: info for info in await asyncio.to_thread(self._records.newest, tenant, limit + 1, before)}
        found |= {info.id: info for info in self._executor.infos(tenant) if before is None or _key(info) < before}
        newest = sorted(found.values(), key=_key, reverse=True)
        return newest[:limit], len(newest) > limit


def _key(info: RunInfo) -> tuple[float, str]:
    return info.create_time, info.id


async def _replay(events: list[Event], after: int) -> AsyncIterator[Sequence[Event]]:
    for start in range(max(after, 0), len(events), MOST_AT_ONCE):
        yield events[start : start + MOST_AT_ONCE]
