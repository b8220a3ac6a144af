"""The budgets of the gateway: reserve before, count while, settle after."""

import secrets
import time

from gateway.budgets.alert import AlertBook
from gateway.budgets.book import BudgetBook
from gateway.budgets.budget import Budget, Calendar, Cost, Unit
from gateway.budgets.errors import BudgetExceeded
from gateway.budgets.grant import Hold, hold
from gateway.budgets.ledger import Ledger
from gateway.budgets.notify import Notifier
from gateway.budgets.posting import Posting
from gateway.budgets.refill import Refill
from gateway.budgets.reservation import Reservation
from gateway.budgets.store import KIND, BudgetStore
from gateway.budgets.sweeping import Abandoned, Sweeper
from gateway.budgets.tending import Tending
from gateway.usage.writing import shard_of
from services.runtime.identity import Identity
from services.runtime.records.changes import Changes
from services.runtime.records.database import Database
from services.runtime.records.writer import Writer

LEASE_SECONDS = 10.0
PATIENCE_SECONDS = 1.5


class Budgets:
    """`replica` is the name of this process. `lease`: seconds after which what a process that died held is free again.
    `patience`: seconds that a call waits for what other replicas hold and do not use. `abandoned` hears of calls whose
    gateway has died, in the transaction that makes usage of them. Open it after the writer and close it before."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        notifier: Notifier,
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
        self._tending = Tending(writer, Posting(ledger, AlertBook(), shard), ledger, notifier, sweeper)

    def follow(self, changes: Changes) -> None:
        """Keep up with budgets that are made, changed and deleted. Before `changes` is opened."""
        changes.follow(KIND, self.reload)

    async def reload(self) -> None:
        """Raises RecordsUnavailable."""
        await self._book.reload(self._store)
        self._tending.changed(self._book.by_id)

    async def open(self) -> None:
        """With the notifier, which is this one's own."""
        await self._notifier.open()
        await self._tending.open()

    async def aclose(self) -> None:
        await self._refill.aclose()
        await self._tending.aclose()
        await self._notifier.aclose()

    async def reserve(self, who: Identity, agent: str, estimate: Cost) -> Reservation:
        """Hold what a call may use, of every budget that counts it. Raises BudgetExceeded, RecordsUnavailable."""
        holds: list[Hold] = []
        try:
            for budget in self._book.counting(who, agent):
                held = hold(self._tending.grant(budget, self._calendar.name(budget.period)))
                holds.append(held)
                await self._reserve(held, _needed(budget, estimate))
        except BaseException as error:
            for held in holds:
                held.release()
            if isinstance(error, BudgetExceeded):
                raise error.retry_in(self._calendar.seconds_left(error.period)) from None
            raise
        return Reservation(holds, self._refill, self._tending.settle, self._tending.follow)

    async def _reserve(self, held: Hold, amount: int) -> None:
        if amount and not held.reserve(amount, time.monotonic()):
            await self._refill.obtain(held, amount)


def _needed(budget: Budget, estimate: Cost) -> int:
    """A call uses a token at least; what costs nothing needs no money."""
    return max(1, estimate.tokens) if budget.unit is Unit.TOKENS else max(0, estimate.nanos)
