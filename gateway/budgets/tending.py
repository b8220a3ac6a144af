"""What is done about grants while calls come and go: they are renewed and given back, and calls are settled."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence

from gateway.budgets import metrics
from gateway.budgets.budget import Budget
from gateway.budgets.grant import Grant
from gateway.budgets.ledger import Ledger
from gateway.budgets.notify import Notifier
from gateway.budgets.posting import Posting
from gateway.budgets.settlement import Charge, Settlement
from gateway.budgets.sweeping import Sweeper
from gateway.usage.metrics import TenantMetrics
from gateway.usage.writing import OpenCall
from services.runtime.records.errors import RecordsUnavailable
from services.runtime.records.writer import Put, Writer

log = logging.getLogger(__name__)
IDLE_SECONDS = 1.0
TICK_SECONDS = 0.25
# How soon what calls took is taken from the row.
OWED_SECONDS = 0.5
# Calls whose usage could not be written are kept for so many; those beyond are lost, and logged.
KEPT = 100_000
Waiting = tuple[Settlement, Sequence[Put]]


class Tending:
    """Owns the grants of this process."""

    def __init__(self, writer: Writer, posting: Posting, ledger: Ledger, notifier: Notifier, sweeper: Sweeper) -> None:
        self._writer = writer
        self._posting = posting
        self._ledger = ledger
        self._notifier = notifier
        self._sweeper = sweeper
        self._calls: set[OpenCall] = set()
        self._beaten = 0.0
        self._grants: dict[tuple[str, str], Grant] = {}
        self._unsettled: deque[Waiting] = deque()
        self._tenants = TenantMetrics()
        self._swept = 0.0
        self._task: asyncio.Task[None] | None = None
        self._sweep: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._task = asyncio.create_task(self._run(), name="budget-grants")

    async def aclose(self) -> None:
        """Give back what is not held by calls. The writer is closed after this."""
        tasks = [task for task in (self._task, self._sweep) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._again()
        returns = [self._renew(grant, max(0, grant.held - grant.reserved)) for grant in self._grants.values()]
        await asyncio.gather(*returns, return_exceptions=True)

    def grant(self, budget: Budget, period: str) -> Grant:
        """This process's part of the budget's period, made where there is none."""
        grant = self._grants.get((budget.id, period))
        if grant is None:
            grant = self._grants[budget.id, period] = Grant(budget, period)
        return grant

    def follow(self, call: OpenCall) -> None:
        """Say from time to time what it has used, until it is closed."""
        self._calls.add(call)

    def settle(self, settlement: Settlement, beside: Sequence[Put]) -> "asyncio.Future[None]":
        """Hand it to the writer; where that fails it is tried again later. Who waits for it may leave."""
        told = asyncio.shield(self._put(settlement, beside))
        told.add_done_callback(lambda told: told.cancelled() or told.exception())  # nobody need wait
        return told

    def _put(self, settlement: Settlement, beside: Sequence[Put] = ()) -> "asyncio.Future[None]":
        try:
            done = self._writer.put_together([(self._posting, settlement), *beside])
        except RecordsUnavailable as error:
            done = asyncio.get_running_loop().create_future()
            done.set_exception(error)
        done.add_done_callback(lambda done: self._settled(done, settlement, beside))
        return done

    def changed(self, budgets: Mapping[str, Budget]) -> None:
        """Follow budgets that were changed or deleted."""
        for grant in self._grants.values():
            now = budgets.get(grant.budget.id)
            grant.refused_until = 0.0
            if now is not None:
                grant.budget = now
            else:  # there is no row to be renewed
                grant.leased = False

    def _settled(self, done: "asyncio.Future[None]", settlement: Settlement, beside: Sequence[Put]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is None:
            self._committed(settlement)
        elif settlement.usage is None and settlement.call is None:
            settlement.undone()
        elif isinstance(error, RecordsUnavailable) and len(self._unsettled) < KEPT:
            self._unsettled.append((settlement, beside))
        else:
            if settlement.usage is not None:
                log.error("usage is lost", extra={"usage": settlement.usage.id, "tenant": settlement.usage.tenant})
            settlement.abandoned()

    def _committed(self, settlement: Settlement) -> None:
        settlement.committed()
        for alert in settlement.alerts:
            self._notifier.put(alert)
        if settlement.usage is not None:
            self._tenants.count(settlement.usage)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                self._tick(time.monotonic())
            except Exception:
                log.exception("budgets are not tended; it is tried again")

    def _tick(self, now: float) -> None:
        if now - self._beaten >= self._ledger.lease / 4:
            self._beaten = now
            self._beat(now)
        for key, grant in list(self._grants.items()):
            if now - grant.touched >= IDLE_SECONDS:
                self._rest(key, grant, now)
            elif self._due(grant, now):
                self._renew(grant, 0)
        if now - self._swept >= self._ledger.lease / 2 and (self._sweep is None or self._sweep.done()):
            self._swept = now
            self._sweep = asyncio.create_task(self._sweep_once(), name="budget-sweep")
            self._again()
        metrics.GRANTS.set(len(self._grants))
        metrics.UNSETTLED.set(len(self._unsettled))

    def _beat(self, now: float) -> None:
        """Say what calls have used, and renew in the same transaction what they hold of budgets."""
        self._calls = {call for call in self._calls if not call.closed}
        counted = self._counted()
        if counted:
            held = [grant for grant in self._grants.values() if grant.leased and grant.open]
            for grant in held:
                grant.posted = now
            self._put(Settlement(None, [Charge(grant, 0, 0) for grant in held], under_way=counted))

    def _rest(self, key: tuple[str, str], grant: Grant, now: float) -> None:
        """Nothing was reserved lately: give back what no call holds, and forget the grant when none is left. What is
        said of its calls is then said of the same moment."""
        spare = max(0, grant.held - grant.reserved)
        if spare and grant.leased:
            self._renew(grant, spare, self._counted())
        elif not grant.busy:
            del self._grants[key]
        elif self._due(grant, now):
            self._renew(grant, 0, self._counted())

    def _counted(self) -> Sequence[OpenCall]:
        """The calls under way that have used something."""
        return [call for call in self._calls if call.counted]

    def _due(self, grant: Grant, now: float) -> bool:
        """It is time to write the grant's row."""
        pause = OWED_SECONDS if grant.owed or grant.overstated else self._ledger.lease / 4
        return grant.leased and now - grant.posted >= pause

    def _renew(self, grant: Grant, back: int, calls: Sequence[OpenCall] = ()) -> "asyncio.Future[None]":
        grant.posted = time.monotonic()
        grant.held -= back
        grant.pending += back
        return self._put(Settlement(None, [Charge(grant, 0, back)], under_way=calls))

    def _again(self) -> None:
        """Settle what could not be settled."""
        waiting, self._unsettled = self._unsettled, deque()
        for settlement, beside in waiting:
            self._put(settlement, beside)

    async def _sweep_once(self) -> None:
        try:
            await self._sweeper.sweep()
        except RecordsUnavailable:
            return  # the database has said so in the log
