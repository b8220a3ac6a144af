"""The budgets of the gateway: reserve before, count while, settle after."""

import secrets
import time
from collections.abc import Iterable, Sequence

from gateway.budgets.alerts import AlertBook, AlertNotifier
from gateway.budgets.errors import BudgetExceeded
from gateway.budgets.lease import BudgetReservation, begin_reservation
from gateway.budgets.lease_manager import LeaseManager
from gateway.budgets.ledger import Abandoned, Ledger, Sweeper
from gateway.budgets.model import Budget, Calendar, Cost, Scope, Unit
from gateway.budgets.reservation import Refill, Reservation
from gateway.budgets.settlement import SettlementSink
from gateway.budgets.store import KIND, BudgetStore
from gateway.usage.writing import shard_of
from services.runtime.identity import Identity
from services.runtime.records.changes import Changes
from services.runtime.records.database import Database
from services.runtime.records.writer import Writer

Name = tuple[str, Scope, str]
LEASE_SECONDS = 10.0
PATIENCE_SECONDS = 1.5


class BudgetBook:
    """All budgets there are, as the database last had them."""

    def __init__(self) -> None:
        self._by_name: dict[Name, Sequence[Budget]] = {}
        self.by_id: dict[str, Budget] = {}

    async def reload(self, store: BudgetStore) -> None:
        """Read them anew. Raises RecordsUnavailable, and leaves those that there were."""
        self.set(await store.all())

    def set(self, budgets: Iterable[Budget]) -> None:
        by_name: dict[Name, list[Budget]] = {}
        for budget in budgets:
            by_name.setdefault((budget.tenant, budget.scope, budget.scope_id), []).append(budget)
        self._by_name = dict(by_name)
        self.by_id = {budget.id: budget for found in by_name.values() for budget in found}

    def counting(self, who: Identity, *asked: str) -> Sequence[Budget]:
        """Those that count a call of this caller to this model, or to this agent and the models that it asks; those of
        the smallest scope first."""
        if not self._by_name:
            return ()
        tenant, names = who.tenant, self._by_name
        return (
            *names.get((tenant, Scope.KEY, who.key), ()),
            *(budget for name in asked for budget in names.get((tenant, Scope.AGENT, name), ())),
            *names.get((tenant, Scope.PROJECT, who.project), ()),
            *names.get((tenant, Scope.TENANT, tenant), ()),
        )


class Budgets:
    """`replica` is the name of this process. `lease`: seconds after which what a process that died held is free again.
    `patience`: seconds that a call waits for what other replicas hold and do not use. `abandoned` is called with calls
    whose gateway has died, in the transaction that makes usage of them. Open it after the writer, close it before."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        notifier: AlertNotifier,
        replica: str,
        *,
        lease: float = LEASE_SECONDS,
        patience: float = PATIENCE_SECONDS,
        calendar: Calendar | None = None,
        abandoned: Abandoned | None = None,
    ) -> None:
        ledger = Ledger(database, f"{replica}/{secrets.token_hex(8)}", lease)
        self._store = BudgetStore(database)
        self._book = BudgetBook()
        self._calendar = calendar or Calendar()
        self._refill = Refill(ledger, patience)
        self._notifier = notifier
        shard = shard_of(replica)
        sweeper = Sweeper(database, ledger, shard, abandoned)
        self._leases = LeaseManager(writer, SettlementSink(ledger, AlertBook(), shard), ledger, notifier, sweeper)

    def follow(self, changes: Changes) -> None:
        """Keep up with budgets that are created, changed and deleted. Before `changes` is opened."""
        changes.follow(KIND, self.reload)

    async def reload(self) -> None:
        """Raises RecordsUnavailable."""
        await self._book.reload(self._store)
        self._leases.changed(self._book.by_id)

    async def open(self) -> None:
        """With the notifier, which is this one's own."""
        await self._notifier.open()
        await self._leases.open()

    async def aclose(self) -> None:
        await self._refill.aclose()
        await self._leases.aclose()
        await self._notifier.aclose()

    async def reserve(self, who: Identity, model: str, estimate: Cost, asked: Sequence[str] = ()) -> Reservation:
        """Hold what a call may use, of every budget that counts it: a call of a model, or of an agent and the models
        `asked` by it. Raises BudgetExceeded, RecordsUnavailable."""
        reservations: list[BudgetReservation] = []
        try:
            for budget in self._book.counting(who, model, *asked):
                held = begin_reservation(self._leases.lease(budget, self._calendar.name(budget.period)))
                reservations.append(held)
                await self._reserve(held, _needed(budget, estimate))
        except BaseException as error:
            for held in reservations:
                held.release()
            if isinstance(error, BudgetExceeded):
                raise error.retry_in(self._calendar.seconds_left(error.period)) from None
            raise
        return Reservation(reservations, self._refill, self._leases.settle, self._leases.follow)

    async def _reserve(self, held: BudgetReservation, amount: int) -> None:
        if amount and not held.reserve(amount, time.monotonic()):
            await self._refill.obtain(held, amount)


def _needed(budget: Budget, estimate: Cost) -> int:
    """What costs nothing needs nothing: an answer that is given again for free is given though a budget is used up."""
    return max(0, estimate.tokens if budget.unit is Unit.TOKENS else estimate.nanos)
