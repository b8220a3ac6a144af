"""Leases in the database: granted, extended, and taken back from processes that are gone.

Whoever changes a period or its leases locks the period's row first, so that spent + the sum of the leases stays within
the budget whichever replicas ask at once.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.budgets.lease import BudgetLease
from gateway.budgets.tables import BUDGETS, GRANTS, PERIODS, SPENDS
from gateway.usage.record import Usage
from gateway.usage.writing import AT_ONCE, sweep_open
from services.runtime.records.clock import now_of
from services.runtime.records.database import Database
from services.runtime.records.upsert import insert_new

SWEPT = 100
# A lease grows by this part of what is left at most, beyond what is short.
SHARE = 8
# Of a lease: for so long its holder relies on it.
SAFE = 0.8
# Called in the transaction that makes usage of calls.
Abandoned = Callable[[AsyncConnection, Sequence[Usage]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class LeaseExtension:
    """The answer to one request. `given`: by how much the lease grew, `short`: by how much it should have. `left`: what
    nobody has; `elsewhere`: what other processes hold and have not used, of which some may come back."""

    given: int
    short: int
    left: int
    elsewhere: int


class Ledger:
    """`holder` names this process. `lease_seconds`: for so long a lease is good without being renewed."""

    def __init__(self, database: Database, holder: str, lease_seconds: float) -> None:
        self._database = database
        self.holder = holder
        self.lease_seconds = lease_seconds

    async def ask(self, lease: BudgetLease, need: int) -> LeaseExtension:
        """Lease what is short of `need` being free, and something for those who wait and will come; what is short as a
        whole or nothing. Raises RecordsUnavailable."""
        begun = time.monotonic()
        async with self._database.write() as connection:
            spent = await self._lock(connection, lease.budget.id, lease.period)
            spent += await unmoved(connection, lease.budget.id, lease.period)
            amount = await _amount(connection, lease)
            rows = await self._rows(connection, lease.budget.id, lease.period)
            spent += await self._release(connection, lease.budget.id, lease.period, rows)
            others = [row for row in rows if row.holder != self.holder and not row.expired]
            found = next((row.amount for row in rows if row.holder == self.holder), None)
            mine: int = lease.used if found is None else found
            if found is None:
                spent -= await take_up(connection, lease, self.holder, self.lease_seconds, mine)
            drift = _drift(lease, mine, found is None)
            # What was taken and is not yet off the row is spent already.
            own = min(mine, lease.held + drift + lease.pending - lease.owed)
            left = amount - spent - own - sum(row.amount for row in others)
            short = need + lease.reserved - lease.held - drift
            given = _size(short, left, lease.waiting - need, lease.ahead)
            await self._extend(connection, lease, given)
        lease.held += drift + given
        lease.written = mine if found is None else lease.written
        lease.leased = True
        lease.good_until = begun + self.lease_seconds * SAFE
        if given >= short:
            # Who waited for it is about to reserve: what is given back meanwhile would be missing.
            lease.touched = time.monotonic()
        elsewhere = sum(max(0, row.amount - row.used) for row in others)
        return LeaseExtension(given, short, max(0, left - given), elsewhere)

    async def sweep(self) -> int:
        """Take back leases that are over; what they were known to have used is spent. Gives their number. What
        processes that are gone have spent is moved into the periods."""
        async with self._database.read() as connection:
            now = now_of(connection.dialect.name)
            over = select(GRANTS.c.budget, GRANTS.c.period).where(GRANTS.c.expires < now).limit(SWEPT)
            left = select(SPENDS.c.budget, SPENDS.c.period).where(SPENDS.c.time < now - self.lease_seconds).limit(SWEPT)
            found = (await connection.execute(over)).all()
            moving = (await connection.execute(left)).all()
        for budget, period in sorted({(row.budget, row.period) for row in (*found, *moving)}):
            async with self._database.write() as connection:
                await spend(connection, budget, period, 0)  # which locks it, unless it was deleted
                rows = await self._rows(connection, budget, period)
                await self._release(connection, budget, period, rows, mine_too=True)
                await move(
                    connection, budget, period, SPENDS.c.time < now_of(connection.dialect.name) - self.lease_seconds
                )
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
        """Delete leases that are over; what they had used, which is spent now."""
        over = [row for row in rows if row.expired and (mine_too or row.holder != self.holder)]
        if not over:
            return 0
        used: int = sum(row.used for row in over)
        this = (GRANTS.c.budget == budget) & (GRANTS.c.period == period)
        await connection.execute(delete(GRANTS).where(this, GRANTS.c.holder.in_([row.holder for row in over])))
        await spend(connection, budget, period, used)
        return used

    async def _extend(self, connection: AsyncConnection, lease: BudgetLease, given: int) -> None:
        expires = now_of(connection.dialect.name) + self.lease_seconds
        mine = of_holder(lease, self.holder)
        await connection.execute(update(GRANTS).where(mine).values(amount=GRANTS.c.amount + given, expires=expires))


def of_holder(lease: BudgetLease, holder: str) -> ColumnElement[bool]:
    """The lease's row."""
    return (GRANTS.c.budget == lease.budget.id) & (GRANTS.c.period == lease.period) & (GRANTS.c.holder == holder)


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


async def take_up(connection: AsyncConnection, lease: BudgetLease, holder: str, seconds: float, used: int) -> int:
    """Insert the lease's row with what is used of it. Where it was there and was taken back, what became spent by that
    is not spent any more: gives how much."""
    returned = lease.written if lease.leased else 0
    if returned:
        await spend(connection, lease.budget.id, lease.period, -returned)
    expires = now_of(connection.dialect.name) + seconds
    row = {"budget": lease.budget.id, "period": lease.period, "holder": holder}
    await connection.execute(insert(GRANTS).values(**row, amount=used, used=used, expires=expires))
    return returned


async def _amount(connection: AsyncConnection, lease: BudgetLease) -> int:
    """The budget as it is now; for one that was deleted meanwhile, as it was."""
    asked = select(BUDGETS.c.amount).where(BUDGETS.c.id == lease.budget.id)
    amount: int | None = (await connection.execute(asked)).scalar_one_or_none()
    return lease.budget.amount if amount is None else amount


def _drift(lease: BudgetLease, mine: int, new: bool) -> int:
    """By how much the row differs from what is known here: it was made anew, or an answer got lost. While settlements
    are under way, which may or may not be in the row yet, only more than is known is believed."""
    drift = mine - lease.held - lease.pending
    return drift if new or not lease.pending else max(0, drift)


def _size(short: int, left: int, waiting: int, ahead: int) -> int:
    """How much to lease of what is left: what is short, or nothing where that is not there; what others wait for; and
    something ahead while there is plenty."""
    if short > left:
        return 0
    return max(0, min(left, short + max(waiting, min((left - short) // SHARE, ahead))))


class Sweeper:
    """`shard`: see write_usage."""

    def __init__(self, database: Database, ledger: Ledger, shard: int, abandoned: Abandoned | None) -> None:
        self._database = database
        self._ledger = ledger
        self._shard = shard
        self._abandoned = abandoned

    async def sweep(self) -> None:
        """Raises RecordsUnavailable."""
        await self._ledger.sweep()
        while await self._sweep_calls() == AT_ONCE:
            pass

    async def _sweep_calls(self) -> int:
        async with self._database.write() as connection:
            rows = await sweep_open(connection, self._shard)
            if rows and self._abandoned is not None:
                await self._abandoned(connection, rows)
            return len(rows)
