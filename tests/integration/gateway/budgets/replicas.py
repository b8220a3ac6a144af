"""Gateway processes as budgets see them: each with a database, a writer and leases of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.budgets.alerts import AlertNotifier
from gateway.budgets.ledger import Abandoned
from gateway.budgets.model import Budget, Calendar, Cost, Period, Scope, Unit
from gateway.budgets.reservation import Reservation
from gateway.budgets.service import Budgets
from gateway.budgets.store import BudgetStore
from gateway.schema.schema import SCHEMA
from gateway.usage.record import Spent, usage_of
from gateway.usage.store import UsageStore
from services.runtime.identity import Identity
from services.runtime.records.database import Database
from services.runtime.records.writer import Writer

WHO = Identity("acme", "ann", frozenset({"*"}), project="web", key="key_1")


@dataclass(slots=True)
class Replica:
    database: Database
    writer: Writer
    budgets: Budgets
    store: BudgetStore
    usage: UsageStore
    notifier: AlertNotifier

    async def budget(
        self, amount: int, scope: Scope = Scope.TENANT, scope_id: str = "acme", unit: Unit = Unit.TOKENS,
        period: Period = Period.MONTH,
    ) -> Budget:  # fmt: skip
        """A budget that this replica knows."""
        made = await self.store.create("acme", scope, scope_id, period, unit, amount)
        await self.budgets.reload()
        return made

    async def spent(self, budget: Budget) -> int:
        return (await self.store.usage([budget]))[0].spent

    async def held(self, budget: Budget) -> int:
        return (await self.store.usage([budget]))[0].held

    async def stall(self) -> None:
        """From here on it does nothing by itself, as a process that stands still: it renews no lease."""
        task = self.budgets._leases._task
        assert task is not None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def call(self, estimate: int, used: int, who: Identity = WHO) -> None:
        """A whole call. Raises what reserving raises."""
        await settle(await self.budgets.reserve(who, "rag", Cost(estimate)), used, who)


async def settle(reservation: Reservation, tokens: int, who: Identity = WHO, nanos: int = 0) -> None:
    spent = Spent("rag", prompt_tokens=tokens, cost_nanos=nanos)
    await reservation.settle(Cost(tokens, nanos), usage_of(who, spent))


@asynccontextmanager
async def replica(
    url: str, name: str = "gateway-0", lease: float = 10.0, patience: float = 0.3, alert_url: str = "",
    timeout: float = 5.0, writer_patience: float = 10.0, calendar: Calendar | None = None,
    abandoned: Abandoned | None = None,
) -> AsyncIterator[Replica]:  # fmt: skip
    database = Database(url, SCHEMA, timeout=timeout)
    await database.open()
    writer = Writer(database, patience=writer_patience)
    await writer.open()
    store = BudgetStore(database)
    notifier = AlertNotifier(store, alert_url)
    budgets = Budgets(
        database, writer, notifier, name, lease=lease, patience=patience, calendar=calendar, abandoned=abandoned
    )
    await budgets.reload()
    await budgets.open()
    try:
        yield Replica(database, writer, budgets, store, UsageStore(database), notifier)
    finally:
        await budgets.aclose()
        await writer.aclose()
        await database.aclose()
