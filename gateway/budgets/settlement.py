"""What ended calls used, written in one transaction: their rows of usage, the sums of the day, and the budgets."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Update, case, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.budgets.alert import Alert, AlertBook
from gateway.budgets.grant import Grant
from gateway.budgets.ledger import SAFE, Ledger, now_of, of_holder, spend, take_up
from gateway.budgets.tables import GRANTS
from gateway.usage.record import Usage
from gateway.usage.tables import USAGE
from gateway.usage.writing import write_usage

CHUNK = 500


@dataclass(frozen=True, slots=True)
class Charge:
    """`used` becomes spent, and `taken` is taken from the grant."""

    grant: Grant
    used: int
    taken: int


@dataclass(frozen=True, slots=True)
class Posted:
    """A grant's row as it was written: what open calls have `used`, and until when it is good. `restored`: the row was
    gone, and this is all that it holds."""

    grant: Grant
    used: int
    good_until: float
    restored: bool

    def apply(self) -> None:
        self.grant.written = self.used
        self.grant.posted = time.monotonic()
        if self.restored:
            self.grant.held = self.used - self.grant.pending
        if self.grant.leased:
            self.grant.good_until = max(self.grant.good_until, self.good_until)


@dataclass(slots=True, eq=False)
class Settlement:
    """An ended call; without usage, the renewal of grants. `tried`: it may have been committed without an answer.
    `alerts` and `posted` are what was written with its batch."""

    usage: Usage | None
    charges: Sequence[Charge]
    tried: bool = False
    alerts: list[Alert] = field(default_factory=list)
    posted: list[Posted] = field(default_factory=list)

    def committed(self) -> None:
        """Take what was written out of what is to be written."""
        for charge in self.charges:
            charge.grant.used -= charge.used
            charge.grant.pending -= charge.taken
        for one in self.posted:
            one.apply()

    def undone(self) -> None:
        """It was not written and will not be: have what it would have given back."""
        for charge in self.charges:
            charge.grant.held += charge.taken
            charge.grant.pending -= charge.taken


@dataclass(slots=True)
class _Sum:
    """The charges of one grant in a batch."""

    grant: Grant
    used: int = 0
    taken: int = 0


class Settlements:
    """The sink of settlements."""

    def __init__(self, ledger: Ledger, alerts: AlertBook) -> None:
        self._ledger = ledger
        self._alerts = alerts

    async def write(self, connection: AsyncConnection, items: Sequence[Settlement]) -> None:
        done = await _committed(connection, [item.usage.id for item in items if item.tried and item.usage])
        fresh = [item for item in items if item.usage is None or item.usage.id not in done]
        for item in items:
            item.tried = True
            item.alerts.clear()
            item.posted.clear()
        await write_usage(connection, [item.usage for item in fresh if item.usage])
        # In order, so that two replicas do not wait for each other.
        charges = [charge for item in fresh for charge in item.charges]
        for one in sorted(_summed(charges), key=lambda one: (one.grant.budget.id, one.grant.period)):
            await self._post(connection, one, items[0])

    async def _post(self, connection: AsyncConnection, one: _Sum, item: Settlement) -> None:
        """Charge one grant: the period first, whose row all who change its grants lock."""
        grant, ledger = one.grant, self._ledger
        good_until = time.monotonic() + ledger.lease * SAFE
        if one.used or one.taken:
            spent = await spend(connection, grant.budget.id, grant.period, one.used)
            if spent is None:
                return  # the budget was deleted
            item.alerts += await self._alerts.reached(connection, grant, spent)
        running = grant.used - one.used
        renewed = await connection.execute(_renewal(connection.dialect.name, one, ledger, running))
        restored = not renewed.rowcount and grant.leased
        if restored:  # it was taken back while this process was slow: go on with what its open calls have used
            await take_up(connection, grant, ledger.holder, ledger.lease, running)
        item.posted.append(Posted(grant, running, good_until, restored))


def _renewal(dialect: str, one: _Sum, ledger: Ledger, running: int) -> Update:
    """What the grant's row is set to."""
    rest = GRANTS.c.amount - one.taken
    return (
        update(GRANTS)
        .where(of_holder(one.grant, ledger.holder))
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


def _summed(charges: Iterable[Charge]) -> Iterable[_Sum]:
    sums: dict[int, _Sum] = {}
    for charge in charges:
        one = sums.setdefault(id(charge.grant), _Sum(charge.grant))
        one.used += charge.used
        one.taken += charge.taken
    return sums.values()
