"""Grants in the database: leased, and taken back from processes that are gone.

Whoever changes a period or its grants locks the period's row first, so that spent + the sum of the grants stays within
the budget whichever replicas ask at once.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.budgets.grant import Grant
from gateway.budgets.tables import BUDGETS, GRANTS, PERIODS, SPENDS
from services.runtime.records.clock import now_of
from services.runtime.records.database import Database
from services.runtime.records.upsert import insert_new

SWEPT = 100
# A grant grows by this part of what is left at most, beyond what is short.
SHARE = 8
# Of a lease: for so long its holder relies on it.
SAFE = 0.8


@dataclass(frozen=True, slots=True)
class Lease:
    """The answer to one request. `given`: by how much the grant grew, `short`: by how much it should have. `left`: what
    nobody has; `elsewhere`: what other processes hold and have not used, of which some may come back."""

    given: int
    short: int
    left: int
    elsewhere: int


class Ledger:
    """`holder` names this process. `lease`: seconds that a grant is good without being renewed."""

    def __init__(self, database: Database, holder: str, lease: float) -> None:
        self._database = database
        self.holder = holder
        self.lease = lease

    async def ask(self, grant: Grant, need: int) -> Lease:
        """Lease what is short of `need` being free, and something for those who wait and will come; what is short as a
        whole or nothing. Raises RecordsUnavailable."""
        begun = time.monotonic()
        async with self._database.write() as connection:
            spent = await self._lock(connection, grant.budget.id, grant.period)
            spent += await unmoved(connection, grant.budget.id, grant.period)
            amount = await _amount(connection, grant)
            rows = await self._rows(connection, grant.budget.id, grant.period)
            spent += await self._release(connection, grant.budget.id, grant.period, rows)
            others = [row for row in rows if row.holder != self.holder and not row.expired]
            found = next((row.amount for row in rows if row.holder == self.holder), None)
            mine: int = grant.used if found is None else found
            if found is None:
                spent -= await take_up(connection, grant, self.holder, self.lease, mine)
            drift = _drift(grant, mine, found is None)
            # What was taken and is not yet off the row is spent already.
            own = min(mine, grant.held + drift + grant.pending - grant.owed)
            left = amount - spent - own - sum(row.amount for row in others)
            short = need + grant.reserved - grant.held - drift
            given = _size(short, left, grant.waiting - need, grant.ahead)
            await self._lease(connection, grant, given)
        grant.held += drift + given
        grant.written = mine if found is None else grant.written
        grant.leased = True
        grant.good_until = begun + self.lease * SAFE
        elsewhere = sum(max(0, row.amount - row.used) for row in others)
        return Lease(given, short, max(0, left - given), elsewhere)

    async def sweep(self) -> int:
        """Take back grants whose leases are over; what they were known to have used is spent. Gives their number. What
        processes that are gone have spent is moved into the periods."""
        async with self._database.read() as connection:
            now = now_of(connection.dialect.name)
            over = select(GRANTS.c.budget, GRANTS.c.period).where(GRANTS.c.expires < now).limit(SWEPT)
            left = select(SPENDS.c.budget, SPENDS.c.period).where(SPENDS.c.time < now - self.lease).limit(SWEPT)
            found = (await connection.execute(over)).all()
            moving = (await connection.execute(left)).all()
        for budget, period in sorted({(row.budget, row.period) for row in (*found, *moving)}):
            async with self._database.write() as connection:
                await spend(connection, budget, period, 0)  # which locks it, unless it was deleted
                rows = await self._rows(connection, budget, period)
                await self._release(connection, budget, period, rows, mine_too=True)
                await move(connection, budget, period, SPENDS.c.time < now_of(connection.dialect.name) - self.lease)
        return len(found)

    async def _lock(self, connection: AsyncConnection, budget: str, period: str) -> int:
        """Lock the period, made where it is not there; what is spent of it."""
        this = (PERIODS.c.budget == budget) & (PERIODS.c.period == period)
        lock = update(PERIODS).where(this).values(spent=PERIODS.c.spent).returning(PERIODS.c.spent)
        spent: int | None = (await connection.execute(lock)).scalar_one_or_none()
        if spent is not None:
            return spent
        await connection.execute(insert_new(PERIODS).values(budget=budget, period=period, spent=0))
        return int((await connection.execute(lock)).scalar_one())

    async def _rows(self, connection: AsyncConnection, budget: str, period: str) -> Sequence[Any]:
        expired = (GRANTS.c.expires < now_of(connection.dialect.name)).label("expired")
        asked = select(GRANTS, expired).where(GRANTS.c.budget == budget, GRANTS.c.period == period)
        return (await connection.execute(asked)).all()

    async def _release(
        self, connection: AsyncConnection, budget: str, period: str, rows: Sequence[Any], mine_too: bool = False
    ) -> int:
        """Delete grants that are over; what they had used, which is spent now."""
        over = [row for row in rows if row.expired and (mine_too or row.holder != self.holder)]
        if not over:
            return 0
        used: int = sum(row.used for row in over)
        this = (GRANTS.c.budget == budget) & (GRANTS.c.period == period)
        await connection.execute(delete(GRANTS).where(this, GRANTS.c.holder.in_([row.holder for row in over])))
        await spend(connection, budget, period, used)
        return used

    async def _lease(self, connection: AsyncConnection, grant: Grant, given: int) -> None:
        expires = now_of(connection.dialect.name) + self.lease
        mine = of_holder(grant, self.holder)
        await connection.execute(update(GRANTS).where(mine).values(amount=GRANTS.c.amount + given, expires=expires))


def of_holder(grant: Grant, holder: str) -> ColumnElement[bool]:
    """The grant's row."""
    return (GRANTS.c.budget == grant.budget.id) & (GRANTS.c.period == grant.period) & (GRANTS.c.holder == holder)


async def spend(connection: AsyncConnection, budget: str, period: str, more: int) -> int | None:
    """Add to what is spent, and lock the row; the new sum, or None where the budget was deleted."""
    this = (PERIODS.c.budget == budget) & (PERIODS.c.period == period)
    more_spent = update(PERIODS).where(this).values(spent=PERIODS.c.spent + more).returning(PERIODS.c.spent)
    spent: int | None = (await connection.execute(more_spent)).scalar_one_or_none()
    return spent


async def unmoved(connection: AsyncConnection, budget: str, period: str) -> int:
    """What is spent and not in the period's row, which is locked."""
    this = (SPENDS.c.budget == budget) & (SPENDS.c.period == period)
    return int((await connection.execute(select(func.sum(SPENDS.c.spent)).where(this))).scalar() or 0)


async def move(connection: AsyncConnection, budget: str, period: str, which: ColumnElement[bool]) -> None:
    """Move what was spent into the period's row, which is locked; drop it where the budget was deleted."""
    this = (SPENDS.c.budget == budget) & (SPENDS.c.period == period) & which
    moved = sum((await connection.execute(delete(SPENDS).where(this).returning(SPENDS.c.spent))).scalars())
    if moved:
        await spend(connection, budget, period, moved)


async def take_up(connection: AsyncConnection, grant: Grant, holder: str, lease: float, used: int) -> int:
    """Insert the grant's row with what is used of it. Where it was there and was taken back, what became spent by that
    is not spent any more: gives how much."""
    returned = grant.written if grant.leased else 0
    if returned:
        await spend(connection, grant.budget.id, grant.period, -returned)
    expires = now_of(connection.dialect.name) + lease
    row = {"budget": grant.budget.id, "period": grant.period, "holder": holder}
    await connection.execute(insert(GRANTS).values(**row, amount=used, used=used, expires=expires))
    return returned


async def _amount(connection: AsyncConnection, grant: Grant) -> int:
    """The budget as it is now; for one that was deleted meanwhile, as it was."""
    asked = select(BUDGETS.c.amount).where(BUDGETS.c.id == grant.budget.id)
    amount: int | None = (await connection.execute(asked)).scalar_one_or_none()
    return grant.budget.amount if amount is None else amount


def _drift(grant: Grant, mine: int, new: bool) -> int:
    """By how much the row differs from what is known here: it was made anew, or an answer got lost. While settlements
    are under way, which may or may not be in the row yet, only more than is known is believed."""
    drift = mine - grant.held - grant.pending
    return drift if new or not grant.pending else max(0, drift)


def _size(short: int, left: int, waiting: int, ahead: int) -> int:
    """How much to lease of what is left: what is short, or nothing where that is not there; what others wait for; and
    something ahead while there is plenty."""
    if short > left:
        return 0
    return max(0, min(left, short + max(waiting, min((left - short) // SHARE, ahead))))
