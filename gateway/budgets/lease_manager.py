"""The lease manager: leases are renewed and given back while calls come and go, and calls are settled."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence

from gateway.budgets import metrics
from gateway.budgets.alerts import AlertNotifier
from gateway.budgets.lease import BudgetLease
from gateway.budgets.ledger import Ledger, Sweeper
from gateway.budgets.model import Budget
from gateway.budgets.settlement import Charge, Settlement, SettlementSink
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


class LeaseManager:
    """Owns the leases of this process."""

    def __init__(
        self, writer: Writer, sink: SettlementSink, ledger: Ledger, notifier: AlertNotifier, sweeper: Sweeper
    ) -> None:
        self._writer = writer
        self._sink = sink
        self._ledger = ledger
        self._notifier = notifier
        self._sweeper = sweeper
        self._calls: set[OpenCall] = set()
        self._beaten = 0.0
        self._leases: dict[tuple[str, str], BudgetLease] = {}
        self._unsettled: deque[Waiting] = deque()
        self._tenants = TenantMetrics()
        self._swept = 0.0
        self._task: asyncio.Task[None] | None = None
        self._sweep: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._task = asyncio.create_task(self._run(), name="budget-leases")

    async def aclose(self) -> None:
        """Give back what is not held by calls. The writer is closed after this."""
        tasks = [task for task in (self._task, self._sweep) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._again()
        returns = [self._renew(lease, max(0, lease.held - lease.reserved)) for lease in self._leases.values()]
        await asyncio.gather(*returns, return_exceptions=True)

    def lease(self, budget: Budget, period: str) -> BudgetLease:
        """This process's part of the budget's period, made where there is none."""
        lease = self._leases.get((budget.id, period))
        if lease is None:
            lease = self._leases[budget.id, period] = BudgetLease(budget, period)
        return lease

    def follow(self, call: OpenCall) -> None:
        """Say from time to time what it has used, until it is closed."""
        self._calls.add(call)

    def settle(self, settlement: Settlement, beside: Sequence[Put]) -> "asyncio.Future[None]":
        """Hand it to the writer; where that fails it is tried again later. Who waits for it may leave."""
        done = asyncio.shield(self._put(settlement, beside))
        done.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody need wait
        return done

    def _put(self, settlement: Settlement, beside: Sequence[Put] = ()) -> "asyncio.Future[None]":
        try:
            done = self._writer.put_together([(self._sink, settlement), *beside])
        except RecordsUnavailable as error:
            done = asyncio.get_running_loop().create_future()
            done.set_exception(error)
        done.add_done_callback(lambda done: self._settled(done, settlement, beside))
        return done

    def changed(self, budgets: Mapping[str, Budget]) -> None:
        """Follow budgets that were changed or deleted."""
        for lease in self._leases.values():
            now = budgets.get(lease.budget.id)
            lease.refused_until = 0.0
            if now is not None:
                lease.budget = now
            else:  # there is no row to be renewed
                lease.leased = False

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
        if now - self._beaten >= self._ledger.lease_seconds / 4:
            self._beaten = now
            self._beat(now)
        for key, lease in list(self._leases.items()):
            if now - lease.touched >= IDLE_SECONDS:
                self._rest(key, lease, now)
            elif self._due(lease, now):
                self._renew(lease, 0)
        if now - self._swept >= self._ledger.lease_seconds / 2 and (self._sweep is None or self._sweep.done()):
            self._swept = now
            self._sweep = asyncio.create_task(self._sweep_once(), name="budget-sweep")
            self._again()
        metrics.GRANTS.set(len(self._leases))
        metrics.UNSETTLED.set(len(self._unsettled))

    def _beat(self, now: float) -> None:
        """Say what calls have used, and renew in the same transaction what they hold of budgets."""
        self._calls = {call for call in self._calls if not call.closed}
        counted = self._counted()
        if counted:
            held = [lease for lease in self._leases.values() if lease.leased and lease.open]
            for lease in held:
                lease.posted = now
            self._put(Settlement(None, [Charge(lease, 0, 0) for lease in held], under_way=counted))

    def _rest(self, key: tuple[str, str], lease: BudgetLease, now: float) -> None:
        """Nothing was reserved lately: give back what no call holds, and forget the lease when none is left. What is
        said of its calls is then said of the same moment."""
        spare = max(0, lease.held - lease.reserved)
        if spare and lease.leased:
            self._renew(lease, spare, self._counted())
        elif not lease.busy:
            del self._leases[key]
        elif self._due(lease, now):
            self._renew(lease, 0, self._counted())

    def _counted(self) -> Sequence[OpenCall]:
        """The calls under way that have used something."""
        return [call for call in self._calls if call.counted]

    def _due(self, lease: BudgetLease, now: float) -> bool:
        """It is time to write the lease's row."""
        pause = OWED_SECONDS if lease.owed or lease.overstated else self._ledger.lease_seconds / 4
        return lease.leased and now - lease.posted >= pause

    def _renew(self, lease: BudgetLease, back: int, calls: Sequence[OpenCall] = ()) -> "asyncio.Future[None]":
        lease.posted = time.monotonic()
        lease.held -= back
        lease.pending += back
        return self._put(Settlement(None, [Charge(lease, 0, back)], under_way=calls))

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
