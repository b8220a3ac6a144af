"""Where runs are found: in this replica's memory, then in the record that all replicas share."""

from collections.abc import Sequence

from services.orchestrator.domain.event import Event
from services.orchestrator.runs.access import Viewer
from services.orchestrator.runs.errors import RunNotFound
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.records import RunFilter, RunRecords
from services.orchestrator.runs.run import Run, RunInfo, RunState


class RunDirectory:
    def __init__(self, executor: Executor, records: RunRecords) -> None:
        self._executor = executor
        self._records = records

    def live(self, viewer: Viewer, run_id: str) -> Run | None:
        """A run that this replica has under way. Raises RunNotFound where it is not the viewer's to see."""
        run = self._executor.find(viewer.tenant, run_id)
        if run is not None and not viewer.sees(run.subject, waiting=run.state is RunState.WAITING):
            raise RunNotFound(run_id)
        return run

    async def get(self, viewer: Viewer, run_id: str) -> RunInfo:
        """A run as it is known here: the replica that has it knows better while it is under way. Raises RunNotFound."""
        run = self.live(viewer, run_id)
        info = run.info if run is not None else await self._records.get(viewer.tenant, run_id)
        if info is None or not viewer.sees(info.subject, waiting=info.state is RunState.WAITING):
            raise RunNotFound(run_id)
        return info

    async def events(self, run_id: str, after: int) -> Sequence[Event]:
        """Stored events after a sequence number, the next thousand or so."""
        return await self._executor.history(run_id, after)

    async def newest(
        self, viewer: Viewer, limit: int, before: tuple[float, str] | None, of: RunFilter
    ) -> tuple[list[RunInfo], bool]:
        """A page of runs, newest first, and whether more follow. Those of other replicas are told as they were when
        their state changed last."""
        found = await self._records.newest(viewer, limit + 1, before, of)
        runs = [run.info if (run := self._executor.find(viewer.tenant, info.id)) else info for info in found]
        return runs[:limit], len(found) > limit
