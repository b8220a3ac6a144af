"""Budgets in the database. Everything raises RecordsUnavailable where it is gone."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, delete, func, insert, select, union_all, update
from sqlalchemy.exc import IntegrityError

from gateway.budgets.errors import BudgetExists, BudgetNotFound
from gateway.budgets.model import Budget, BudgetAlert, Period, Scope, Unit, end_of, name_of
from gateway.budgets.tables import ALERTS, BUDGETS, GRANTS, PERIODS, SPENDS
from gateway.metadata import NewId, new_id
from services.runtime.errors import InvalidArgument
from services.runtime.records.changes import bump
from services.runtime.records.clock import now_of
from services.runtime.records.database import Database

KIND = "budgets"
# All of them are held in memory.
MOST = 100_000
MOST_ALERTS = 1000
COLUMNS = [BUDGETS.c[name] for name in ("id", "tenant", "scope", "scope_id", "period", "unit", "amount")]


@dataclass(frozen=True, slots=True)
class BudgetUsage:
    """What is used of a budget in its present period, which `resets` at a time. `held` is reserved by gateways, and
    what their open streams have used so far is part of it."""

    budget: Budget
    period: str
    resets: float
    spent: int
    held: int


class BudgetStore:
    """Making, changing and reading budgets."""

    def __init__(self, database: Database, new_id: NewId = new_id) -> None:
        self._database = database
        self._new_id = new_id

    async def create(self, tenant: str, scope: Scope, scope_id: str, period: Period, unit: Unit, amount: int) -> Budget:
        """A new budget, which counts what is used from now on. Raises InvalidArgument, BudgetExists."""
        if scope is Scope.TENANT:
            scope_id = scope_id or tenant
        if not tenant or not scope_id or (scope is Scope.TENANT and scope_id != tenant):
            raise InvalidArgument("a budget names its tenant, and whose of it is counted", field="scope_id")
        budget = Budget(self._new_id("bud"), tenant, scope, scope_id, period, unit, _checked(amount))
        row = {column.name: getattr(budget, column.name) for column in COLUMNS} | {"create_time": time.time()}
        try:
            async with self._database.write() as connection:
                if ((await connection.execute(select(func.count()).select_from(BUDGETS))).scalar_one()) >= MOST:
                    raise InvalidArgument(f"there are {MOST} budgets, and there may be no more")
                await connection.execute(insert(BUDGETS).values(row))
                await bump(connection, KIND)
        except IntegrityError as error:
            raise BudgetExists(scope, scope_id) from error
        return budget

    async def change(self, id_: str, amount: int) -> Budget:
        """Set the amount. Calls under way keep what they hold. Raises BudgetNotFound, InvalidArgument."""
        changed = update(BUDGETS).where(BUDGETS.c.id == id_).values(amount=_checked(amount)).returning(*COLUMNS)
        async with self._database.write() as connection:
            row = (await connection.execute(changed)).one_or_none()
            if row is None:
                raise BudgetNotFound(id_)
            await bump(connection, KIND)
        return _budget(row)

    async def delete(self, id_: str) -> None:
        """With all that was counted under it; usage stays. Raises BudgetNotFound."""
        async with self._database.write() as connection:
            if not (await connection.execute(delete(BUDGETS).where(BUDGETS.c.id == id_))).rowcount:
                raise BudgetNotFound(id_)
            for table in (PERIODS, SPENDS, GRANTS, ALERTS):
                await connection.execute(delete(table).where(table.c.budget == id_))
            await bump(connection, KIND)

    async def get(self, id_: str) -> Budget:
        """Raises BudgetNotFound."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(*COLUMNS).where(BUDGETS.c.id == id_))).one_or_none()
        if row is None:
            raise BudgetNotFound(id_)
        return _budget(row)

    async def all(self, tenant: str = "", size: int = MOST, after: str = "") -> Sequence[Budget]:
        """By id, those of one tenant or of all, `size` of them from the first one after `after`."""
        query = select(*COLUMNS).where(BUDGETS.c.id > after).order_by(BUDGETS.c.id).limit(size)
        if tenant:
            query = query.where(BUDGETS.c.tenant == tenant)
        async with self._database.read() as connection:
            return [_budget(row) for row in await connection.execute(query)]

    async def usage(self, budgets: Sequence[Budget]) -> Sequence[BudgetUsage]:
        """What is used of each of them now."""
        now = time.time()
        ids = [budget.id for budget in budgets]
        both = [
            select(table.c.budget, table.c.period, table.c.spent).where(table.c.budget.in_(ids))
            for table in (PERIODS, SPENDS)
        ]
        all_ = union_all(*both).subquery()
        spent = select(all_.c.budget, all_.c.period, func.sum(all_.c.spent)).group_by(all_.c.budget, all_.c.period)
        sums = [GRANTS.c.budget, GRANTS.c.period, func.sum(GRANTS.c.amount)]
        held = select(*sums).where(GRANTS.c.budget.in_(ids)).group_by(*sums[:2])
        async with self._database.read() as connection:
            spends = {(row[0], row[1]): int(row[2]) for row in await connection.execute(spent)}
            holds = {(row[0], row[1]): int(row[2]) for row in await connection.execute(held)}
        made = []
        for budget in budgets:
            name = name_of(budget.period, now)
            key = budget.id, name
            made.append(BudgetUsage(budget, name, end_of(name), spends.get(key, 0), holds.get(key, 0)))
        return made

    async def alerts(self, tenant: str = "", size: int = 100) -> Sequence[BudgetAlert]:
        """The newest alerts first, of one tenant or of all."""
        query = _alerts().order_by(ALERTS.c.time.desc(), ALERTS.c.percent.desc()).limit(min(size, MOST_ALERTS))
        if tenant:
            query = query.where(ALERTS.c.tenant == tenant)
        async with self._database.read() as connection:
            return [_alert(row) for row in await connection.execute(query)]

    async def claim_alerts(self, abandoned: float) -> Sequence[BudgetAlert]:
        """Take those that somebody began to send so many seconds ago and did not end."""
        async with self._database.write() as connection:
            now = now_of(connection.dialect.name)
            old = and_(ALERTS.c.told.is_(None), ALERTS.c.claimed < now - abandoned)
            rows = (await connection.execute(_alerts().where(old).limit(MOST_ALERTS))).all()
            if rows:
                await connection.execute(update(ALERTS).where(old).values(claimed=now))
        return [_alert(row) for row in rows]

    async def alert_sent(self, alert: BudgetAlert) -> None:
        """It was sent."""
        budget, period, percent = alert.key
        this = and_(ALERTS.c.budget == budget, ALERTS.c.period == period, ALERTS.c.percent == percent)
        async with self._database.write() as connection:
            await connection.execute(update(ALERTS).where(this).values(told=time.time()))


def _checked(amount: int) -> int:
    if not 0 <= amount < 2**62:
        raise InvalidArgument("the amount of a budget is 0 or more", field="amount")
    return amount


def _budget(row: Any) -> Budget:
    id_, tenant, scope, scope_id, period, unit, amount = row[: len(COLUMNS)]
    return Budget(id_, tenant, Scope(scope), scope_id, Period(period), Unit(unit), amount)


def _alerts() -> Any:
    named = [ALERTS.c.period.label("alert_period"), ALERTS.c.percent, ALERTS.c.spent, ALERTS.c.time, ALERTS.c.told]
    return select(*COLUMNS, *named).join_from(ALERTS, BUDGETS, ALERTS.c.budget == BUDGETS.c.id)


def _alert(row: Any) -> BudgetAlert:
    return BudgetAlert(_budget(row), row.alert_period, row.percent, row.spent, row.time, row.told)
