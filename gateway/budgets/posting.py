"""What ended calls used, written in one transaction: their rows of usage, the sums of the day, and the budgets.

Of a budget, a call that ends changes what its process has spent, and no more than that: gateways do not wait for each
other. The row of the grant is written with its renewals, and with calls whose use it has already; then the period's row
is locked, and what the process has spent is moved into it.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Update, bindparam, case, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.budgets.alert import AlertBook
from gateway.budgets.grant import Grant
from gateway.budgets.ledger import SAFE, Ledger, move, of_holder, take_up, unmoved
from gateway.budgets.settlement import Charge, Effect, Row, Settlement
from gateway.budgets.tables import GRANTS, PERIODS, SPENDS
from gateway.usage.record import Usage
from gateway.usage.tables import USAGE
from gateway.usage.unsettled import close_open, write_open
from gateway.usage.writing import usage_steps, write_usage
from services.runtime.records.clock import now_of
from services.runtime.records.many import Many, Rows, Step, execute_all
from services.runtime.records.upsert import upsert
from services.runtime.records.writer import ScriptSink

CHUNK = 500


def _added() -> Many:
    statement = upsert(SPENDS)
    sums = {"spent": SPENDS.c.spent + statement.excluded.spent, "time": statement.excluded.time}
    return Many(statement.on_conflict_do_update(index_elements=["budget", "period", "holder"], set_=sums))


ADD = _added()
SPEND = Many(
    update(PERIODS)
    .where(PERIODS.c.budget == bindparam("of_budget"), PERIODS.c.period == bindparam("of_period"))
    .values(spent=PERIODS.c.spent + bindparam("more"))
)


@dataclass(slots=True)
class _Sum:
    """The charges of one grant in a batch. `plain`: none of them is in the grant's row. `running`: what calls under way
    have used of it."""

    grant: Grant
    used: int = 0
    taken: int = 0
    streamed: int = 0
    running: int = 0
    plain: bool = True


class Posting(ScriptSink[Settlement]):
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
                item.effects += [Effect(charge.grant, charge.taken) for charge in item.charges]
            else:
                fresh.append(item)
        # What is under way is of one moment with what is held of budgets for it.
        sums = _in_order(fresh)
        open_rows = [row for item in fresh for call in item.under_way if (row := call.row()) is not None]
        closed = [item.call_id for item in fresh if item.call_id]
        await write_open(connection, open_rows, self._ledger.lease)
        await close_open(connection, closed, self._shard)
        await write_usage(connection, [item.usage for item in fresh if item.usage], self._shard)
        posted, plain = [one for one in sums if not one.plain], [one for one in sums if one.plain]
        if posted:
            await SPEND.execute(connection, [_spent(one) for one in posted])
        for one in posted:
            await self._post(connection, one, items[0])
        await execute_all(connection, self._added(plain, items[0]))

    def _added(self, plain: Sequence[_Sum], item: Settlement) -> Sequence[Step]:
        """What this process has spent, said of none of its grants."""
        item.effects += [Effect(one.grant, owed=one.taken) for one in plain]
        return [(ADD, [self._more(one) for one in plain])] if plain else ()

    async def _post(self, connection: AsyncConnection, one: _Sum, item: Settlement) -> None:
        """Write the grant's row, whose period is locked, and see whether there is anything to tell."""
        grant, ledger = one.grant, self._ledger
        good_until = time.monotonic() + ledger.lease * SAFE
        budget, period = grant.budget.id, grant.period
        await move(connection, budget, period, SPENDS.c.holder == ledger.holder)
        this = (PERIODS.c.budget == budget) & (PERIODS.c.period == period)
        spent: int | None = (await connection.execute(select(PERIODS.c.spent).where(this))).scalar_one_or_none()
        taken, running = one.taken + grant.owed, one.running
        effect_owed = -grant.owed
        if spent is None:  # the budget was deleted
            item.effects.append(Effect(grant, taken, effect_owed))
            return
        spent += await unmoved(connection, budget, period)
        item.alerts += await self._alerts.reached(connection, grant, spent)
        renewed = await connection.execute(_renewal(connection.dialect.name, grant, ledger, taken, running))
        restored = not renewed.rowcount and grant.leased
        if restored:  # it was taken back while this process was slow: go on with what its streams have used
            await take_up(connection, grant, ledger.holder, ledger.lease, running)
        item.effects.append(Effect(grant, taken, effect_owed, Row(running, good_until, restored)))

    def _more(self, one: _Sum) -> dict[str, object]:
        budget, period = one.grant.budget.id, one.grant.period
        return {
            "budget": budget, "period": period, "holder": self._ledger.holder, "spent": one.used, "time": time.time()
        }  # fmt: skip


def _renewal(dialect: str, grant: Grant, ledger: Ledger, taken: int, running: int) -> Update:
    """What the grant's row is set to."""
    rest = GRANTS.c.amount - taken
    return (
        update(GRANTS)
        .where(of_holder(grant, ledger.holder))
        .values(
            amount=case((rest < 0, 0), else_=rest),
            used=running,
            expires=now_of(dialect) + ledger.lease,
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
    return {"of_budget": one.grant.budget.id, "of_period": one.grant.period, "more": one.used}


def _in_order(items: Iterable[Settlement]) -> Sequence[_Sum]:
    """What is charged to each grant, in an order in which two replicas do not wait for each other."""
    return sorted(_summed(items), key=lambda one: (one.grant.budget.id, one.grant.period))


def _summed(items: Iterable[Settlement]) -> Iterable[_Sum]:
    sums: dict[int, _Sum] = {}
    for usage, charge in ((item.usage, charge) for item in items for charge in item.charges):
        one = sums.setdefault(id(charge.grant), _Sum(charge.grant))
        one.used += charge.used
        one.taken += charge.taken
        one.streamed += charge.streamed
        if _written(usage, charge):
            one.plain = False
    for one in sums.values():
        one.running = one.grant.used - one.streamed
    return sums.values()


def _written(usage: Usage | None, charge: Charge) -> bool:
    """It renews the grant's row, or is a call that the row may have."""
    return usage is None or bool(charge.streamed and charge.grant.written)
