"""Where runs are found: in this replica's memory, then in the record that all replicas share."""

from collections.abc import Sequence

from services.orchestrator.domain.event import Event
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.records import RunFilter, RunRecords
from services.orchestrator.runs.run import RunInfo


class RunDirectory:
    def __init__(self, executor: Executor, records: RunRecords) -> None:
        self._executor = executor
        self._records = records

    async def get(self, tenant: str, run_id: str) -> RunInfo | None:
        """A run as it is known here: the replica that has it knows better while it is under way."""
        run = self._executor.find(tenant, run_id)
        if run is not None:
            return run.info
        return await self._records.get(tenant, run_id)

    async def events(self, run_id: str, after: int) -> Sequence[Event]:
        """Stored events after a sequence number, the next thousand or so."""
        return await self._executor.history(run_id, after)

    async def newest(
        self, tenant: str, limit: int, before: tuple[float, str] | None, of: RunFilter
    ) -> tuple[list[RunInfo], bool]:
        """A page of runs, newest first, and whether more follow. Those of other replicas are told as they were when
        their state changed last."""
        found = await self._records.newest(tenant, limit + 1, before, of)
        runs = [run.info if (run := self._executor.find(tenant, info.id)) else info for info in found]
        return runs[:limit], len(found) > limit
