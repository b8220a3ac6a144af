"""Shares of a budget that are made known when they are reached, once for each period, whichever replica does it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.budgets.budget import Budget
from gateway.budgets.grant import Grant
from gateway.budgets.tables import ALERTS
from services.runtime.records.upsert import insert_new

PERCENTS = (50, 80, 100)
KNOWN = 100_000


@dataclass(frozen=True, slots=True)
class Alert:
    """A share of a budget was reached. `told`: when that was made known; None until then."""

    budget: Budget
    period: str
    percent: int
    spent: int
    time: float
    told: float | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        return self.budget.id, self.period, self.percent


class AlertBook:
    """Remembers which alerts there are, so that the database is asked for new ones only."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str, int]] = set()

    async def reached(self, connection: AsyncConnection, grant: Grant, spent: int) -> Sequence[Alert]:
        """Write the alerts that are due now that so much is spent; those that nobody wrote before."""
        now = time.time()
        due = [
            Alert(grant.budget, grant.period, percent, spent, now)
            for percent in PERCENTS
            if spent * 100 >= percent * grant.budget.amount
        ]
        return [alert for alert in due if alert.key not in self._known and await self._write(connection, alert)]

    def remember(self, alert: Alert) -> None:
        """It is in the database."""
        if len(self._known) >= KNOWN:
            self._known.clear()
        self._known.add(alert.key)

    async def _write(self, connection: AsyncConnection, alert: Alert) -> bool:
        """False where it was there already."""
        budget = alert.budget
        row = {
            "budget": budget.id,
            "period": alert.period,
            "percent": alert.percent,
            "tenant": budget.tenant,
            "spent": alert.spent,
            "amount": budget.amount,
            "time": alert.time,
            "claimed": alert.time,
        }
        written = await connection.execute(insert_new(ALERTS).values(**row))
        if not written.rowcount:
            self.remember(alert)
        return bool(written.rowcount)
