"""The heartbeat loop: renews this replica's lease, takes up the runs of replicas that are dead, prunes the record."""

import asyncio
import logging

from services.orchestrator.runs.errors import NameTaken
from services.orchestrator.runs.executor import Executor, Identify
from services.orchestrator.runs.records import RunRecords
from services.orchestrator.runs.statements import Fenced
from services.runtime.records.lease import Held, LeaseWatch

log = logging.getLogger(__name__)


class Heartbeat:
    """Renews the lease every `beat` seconds. A replica whose lease is not renewed for `lease` seconds is dead: the
    first that notices has its runs."""

    def __init__(
        self, executor: Executor, records: RunRecords, identify: Identify, seconds: float, beat: float, lease: float
    ) -> None:
        """`seconds`: what a run that is taken up has at most."""
        self._executor = executor
        self._records = records
        self._identify = identify
        self._seconds = seconds
        self._beat = beat
        self._watch = LeaseWatch(lease)
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Join the replicas and take up what was left to this one. Raises NameTaken."""
        self._executor.rejoin = self._rejoin
        await self._join()
        await self._executor.log.open()
        await self._executor.take_up(self._identify, self._seconds)
        self._task = asyncio.create_task(self._run(), name="heartbeat")

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
        """Join once no other of this name lives. Raises NameTaken where one renews its lease."""
        known: dict[str, Held] = {}
        while living := await self._records.join():
            if any(known.get(name, held) != held for name, held in living.items()):
                raise NameTaken(self._records.replica)
            if not known:
                log.warning("waits for the lease of another of its name to end", extra={"leases": list(living)})
            known |= living
            await asyncio.sleep(self._beat)

    async def _rejoin(self) -> None:
        """Begin anew after the others gave this replica up: not beside another of its name, which has its place."""
        while True:
            try:
                if not (living := await self._records.join(restarted=False)):
                    return
                log.error("not joined: %s", NameTaken(self._records.replica), extra={"leases": list(living)})
            except Exception:
                log.exception("not joined; trying again")
            await asyncio.sleep(self._beat)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._beat)
            try:
                await self._round()
            except Exception:
                log.exception("the heartbeat failed; trying again")

    async def _round(self) -> None:
        incarnation = self._records.incarnation
        try:
            leases = await self._records.beat(incarnation)
        except Fenced:
            if incarnation == self._records.incarnation:
                self._executor.fenced()
            return
        for dead, held in self._watch.expired(leases).items():
            if await self._records.claim(dead, held):
                log.warning("a replica is dead; its runs are taken up", extra={"replica": dead})
                await self._executor.take_up(self._identify, self._seconds)
        await self._records.prune()
