"""An ended call, settled in one transaction: its row of usage, the sums of the day, and the budgets.

Of a budget, a call that ends changes what its process has spent, and no more than that: gateways do not wait for each
other. The row of the lease is written with its renewals, and with calls whose use it has already; then the period's row
is locked, and what the process has spent is moved into it.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Update, bindparam, case, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.budgets.alerts import AlertBook
from gateway.budgets.lease import BudgetLease
from gateway.budgets.ledger import SAFE, Ledger, move, of_holder, take_up, unmoved
from gateway.budgets.model import BudgetAlert
from gateway.budgets.tables import GRANTS, PERIODS, SPENDS
from gateway.usage.record import Usage
from gateway.usage.tables import USAGE
from gateway.usage.writing import OpenCall, close_open, usage_steps, write_open, write_usage
from services.runtime.records.clock import now_of
from services.runtime.records.many import Many, Rows, Step, execute_all
from services.runtime.records.upsert import upsert
from services.runtime.records.writer import ScriptSink

CHUNK = 500
SPEND = Many(
    update(PERIODS)
    .where(PERIODS.c.budget == bindparam("of_budget"), PERIODS.c.period == bindparam("of_period"))
    .values(spent=PERIODS.c.spent + bindparam("more"))
)


@dataclass(frozen=True, slots=True)
class Charge:
    """`used` becomes spent, and `taken` is taken from the lease. `streamed`: what the lease counts as used of it."""

    lease: BudgetLease
    used: int
    taken: int
    streamed: int = 0


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """A lease's row as it was written: what streams have `used`, and until when it is good. `restored`: the row was
    gone, and this is all that it holds."""

    used: int
    good_until: float
    restored: bool


@dataclass(frozen=True, slots=True)
class Effect:
    """What a batch did to a lease: `taken` is off its row; `owed` is spent, and more or less of it is still to be taken
    off."""

    lease: BudgetLease
    taken: int = 0
    owed: int = 0
    row: LeaseRow | None = None

    def apply(self) -> None:
        lease = self.lease
        lease.pending -= self.taken
        lease.owed += self.owed
        if self.row is None:
            return
        lease.written = self.row.used
        lease.posted = time.monotonic()
        if self.row.restored:
            lease.held = self.row.used - lease.pending
        if lease.leased:
            lease.good_until = max(lease.good_until, self.row.good_until)


@dataclass(slots=True, eq=False)
class Settlement:
    """An ended call; without usage, the renewal of leases. `call`: what it was while under way; `under_way`: calls of
    which is said what they have used so far. `tried`: it may have been committed without an answer. `alerts` and
    `effects` are those of the batch that it was written with."""

    usage: Usage | None
    charges: Sequence[Charge]
    call: OpenCall | None = None
    under_way: Sequence[OpenCall] = ()
    tried: bool = False
    alerts: list[BudgetAlert] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)

    @property
    def call_id(self) -> str:
        """The id of the row that the call had while under way; empty where it had none."""
        return self.call.id if self.call is not None else ""

    def begin(self) -> None:
        """It is to be written, perhaps once more."""
        self.tried = True
        self.alerts.clear()
        self.effects.clear()

    def committed(self) -> None:
        """Take what was written out of what is to be written."""
        for charge in self.charges:
            charge.lease.used -= charge.streamed
        for effect in self.effects:
            effect.apply()

    def abandoned(self) -> None:
        """It was not written and will not be."""
        for charge in self.charges:
            charge.lease.used -= charge.streamed
            charge.lease.pending -= charge.taken

    def undone(self) -> None:
        """It was not written and will not be: have what it would have given back."""
        for charge in self.charges:
            charge.lease.held += charge.taken
            charge.lease.pending -= charge.taken


def _added() -> Many:
    statement = upsert(SPENDS)
    sums = {"spent": SPENDS.c.spent + statement.excluded.spent, "time": statement.excluded.time}
    return Many(statement.on_conflict_do_update(index_elements=["budget", "period", "holder"], set_=sums))


ADD_SPENT = _added()


@dataclass(slots=True)
class _Sum:
    """The charges of one lease in a batch. `plain`: none of them is in the lease's row. `running`: what calls under way
    have used of it."""

    lease: BudgetLease
    used: int = 0
    taken: int = 0
    streamed: int = 0
    running: int = 0
    plain: bool = True


class SettlementSink(ScriptSink[Settlement]):
    """The sink of settlements. `shard`: see write_usage."""

    def __init__(self, ledger: Ledger, alerts: AlertBook, shard: int = 0) -> None:
        self._ledger = ledger
        self._alerts = alerts
        self._shard = shard

    def steps(self, items: Sequence[Settlement]) -> Sequence[Step] | None:
        """Known of calls that have ended and of which nothing was written before."""
        if any(item.tried or item.under_way or item.call_id for item in items):
            return None
        sums = _in_order(items)
        if not all(one.plain for one in sums):
            return None
        for item in items:
            item.begin()
        return [*usage_steps([item.usage for item in items if item.usage], self._shard), *self._added(sums, items[0])]

    def check(self, found: list[Rows]) -> None:
        """See ScriptSink. Nothing is selected."""

    async def write(self, connection: AsyncConnection, items: Sequence[Settlement]) -> None:
        """See Sink."""
        done = await _committed(connection, [item.usage.id for item in items if item.tried and item.usage])
        fresh = []
        for item in items:
            item.begin()
            if item.usage is not None and item.usage.id in done:
                item.effects += [Effect(charge.lease, charge.taken) for charge in item.charges]
            else:
                fresh.append(item)
        # What is under way is of one moment with what is held of budgets for it.
        sums = _in_order(fresh)
        open_rows = [row for item in fresh for call in item.under_way if (row := call.row()) is not None]
        closed = [item.call_id for item in fresh if item.call_id]
        await write_open(connection, open_rows, self._ledger.lease_seconds)
        await close_open(connection, closed, self._shard)
        await write_usage(connection, [item.usage for item in fresh if item.usage], self._shard)
        posted, plain = [one for one in sums if not one.plain], [one for one in sums if one.plain]
        if posted:
            await SPEND.execute(connection, [_spent(one) for one in posted])
        for one in posted:
            await self._post(connection, one, items[0])
        await execute_all(connection, self._added(plain, items[0]))

    def _added(self, plain: Sequence[_Sum], item: Settlement) -> Sequence[Step]:
        """What this process has spent, said in none of its leases' rows."""
        item.effects += [Effect(one.lease, owed=one.taken) for one in plain]
        return [(ADD_SPENT, [self._more(one) for one in plain])] if plain else ()

    async def _post(self, connection: AsyncConnection, one: _Sum, item: Settlement) -> None:
        """Write the lease's row, whose period is locked, and see whether there is anything to tell."""
        lease, ledger = one.lease, self._ledger
        good_until = time.monotonic() + ledger.lease_seconds * SAFE
        budget, period = lease.budget.id, lease.period
        await move(connection, budget, period, SPENDS.c.holder == ledger.holder)
        this = (PERIODS.c.budget == budget) & (PERIODS.c.period == period)
        spent: int | None = (await connection.execute(select(PERIODS.c.spent).where(this))).scalar_one_or_none()
        taken, running = one.taken + lease.owed, one.running
        effect_owed = -lease.owed
        if spent is None:  # the budget was deleted
            item.effects.append(Effect(lease, taken, effect_owed))
            return
        spent += await unmoved(connection, budget, period)
        item.alerts += await self._alerts.reached(connection, lease, spent)
        renewed = await connection.execute(_renewal(connection.dialect.name, lease, ledger, taken, running))
        restored = not renewed.rowcount and lease.leased
        if restored:  # it was taken back while this process was slow: go on with what its streams have used
            await take_up(connection, lease, ledger.holder, ledger.lease_seconds, running)
        item.effects.append(Effect(lease, taken, effect_owed, LeaseRow(running, good_until, restored)))

    def _more(self, one: _Sum) -> dict[str, object]:
        budget, period = one.lease.budget.id, one.lease.period
        return {
            "budget": budget, "period": period, "holder": self._ledger.holder, "spent": one.used, "time": time.time()
        }  # fmt: skip


def _renewal(dialect: str, lease: BudgetLease, ledger: Ledger, taken: int, running: int) -> Update:
    """What the lease's row is set to."""
    rest = GRANTS.c.amount - taken
    return (
        update(GRANTS)
        .where(of_holder(lease, ledger.holder))
        .values(
            amount=case((rest < 0, 0), else_=rest),
            used=running,
            expires=now_of(dialect) + ledger.lease_seconds,
        )
    )


async def _committed(connection: AsyncConnection, ids: Sequence[str]) -> set[str]:
    """Those of the ids that have rows."""
    found: set[str] = set()
    for first in range(0, len(ids), CHUNK):
        asked = select(USAGE.c.id).where(USAGE.c.id.in_(ids[first : first + CHUNK]))
        found.update((await connection.execute(asked)).scalars())
    return found


def _spent(one: _Sum) -> dict[str, object]:
    return {"of_budget": one.lease.budget.id, "of_period": one.lease.period, "more": one.used}


def _in_order(items: Iterable[Settlement]) -> Sequence[_Sum]:
    """What is charged to each lease, in an order in which two replicas do not wait for each other."""
    return sorted(_summed(items), key=lambda one: (one.lease.budget.id, one.lease.period))


def _summed(items: Iterable[Settlement]) -> Iterable[_Sum]:
    sums: dict[int, _Sum] = {}
    for usage, charge in ((item.usage, charge) for item in items for charge in item.charges):
        one = sums.setdefault(id(charge.lease), _Sum(charge.lease))
        one.used += charge.used
        one.taken += charge.taken
        one.streamed += charge.streamed
        if _written(usage, charge):
            one.plain = False
    for one in sums.values():
        one.running = one.lease.used - one.streamed
    return sums.values()


def _written(usage: Usage | None, charge: Charge) -> bool:
    """It renews the lease's row, or is a call that the row may have."""
    return usage is None or bool(charge.streamed and charge.lease.written)
