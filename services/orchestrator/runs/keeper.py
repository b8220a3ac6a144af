"""Keeps this replica alive among the others, takes up the runs of those that are not, and tidies the record."""

import asyncio
import logging
import time

from services.orchestrator.runs.executor import Executor, Identify
from services.orchestrator.runs.records import Records
from services.orchestrator.runs.statements import Fenced

log = logging.getLogger(__name__)


class Keeper:
    """Every `beat` seconds it says that this replica lives. One whose beat has not changed for `lease` seconds, by
    this replica's own clock, is dead: the first who notices has its runs. No two clocks are compared."""

    def __init__(
        self, executor: Executor, records: Records, identify: Identify, seconds: float, beat: float, lease: float
    ) -> None:
        """`seconds`: what a run that is taken up has at most."""
        self._executor = executor
        self._records = records
        self._identify = identify
        self._seconds = seconds
        self._beat = beat
        self._lease = lease
        self._seen: dict[str, tuple[int, float]] = {}
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Join the replicas and take up what was left to this one."""
        self._executor.rejoin = self._join
        await self._records.join()
        await self._executor.log.open()
        await self._executor.take_up(self._identify, self._seconds)
        self._task = asyncio.create_task(self._keep(), name="keeper")

    async def aclose(self) -> None:
        """Leave in peace; after the executor is closed."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            await self._records.leave(self._records.incarnation)
        except Exception:
            log.exception("the other replicas were not told that this one leaves")

    async def _join(self) -> None:
        """Begin anew after the others gave this replica up."""
        while True:
            try:
                await self._records.join(restarted=False)
                return
            except Exception:
                log.exception("not joined; trying again")
                await asyncio.sleep(self._beat)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._beat)
            try:
                await self._round()
            except Exception:
                log.exception("the replicas were not looked after; trying again")

    async def _round(self) -> None:
        incarnation = self._records.incarnation
        try:
            beats = await self._records.beat(incarnation)
        except Fenced:
            if incarnation == self._records.incarnation:
                self._executor.fenced()
            return
        for dead, beat in self._silent(beats):
            if await self._records.claim(dead, beat):
                log.warning("a replica is dead; its runs are taken up", extra={"replica": dead})
                await self._executor.take_up(self._identify, self._seconds)
        await self._records.prune()

    def _silent(self, beats: dict[str, int]) -> list[tuple[str, int]]:
        """Those that left, or were not heard of for the length of the lease."""
        now = time.monotonic()
        self._seen = {
            name: self._seen[name] if name in self._seen and self._seen[name][0] == beat else (beat, now)
            for name, beat in beats.items()
        }
        return [(name, beat) for name, (beat, since) in self._seen.items() if beat < 0 or now - since >= self._lease]
