"""Rate limits in the database."""

import time
from collections.abc import Sequence

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway.limits.errors import LimitExists, LimitNotFound, TooManyLimits
from gateway.limits.model import MOST_RULES, Rule, check
from gateway.limits.tables import LIMIT_RULES
from gateway.metadata import NewId, new_id
from services.runtime.records.changes import bump
from services.runtime.records.database import Database

KIND = "limits"


class LimitStore:
    """Everything raises RecordsUnavailable where the database is gone."""

    def __init__(self, database: Database, new_id: NewId = new_id) -> None:
        self._database = database
        self._new_id = new_id

    async def create(self, rule: Rule) -> Rule:
        """The rule, with an id. Raises InvalidArgument, LimitExists, TooManyLimits."""
        made = Rule(self._new_id("lim"), rule.tenant, rule.caller, rule.model, rule.requests, rule.tokens, rule.streams)
        check(made)
        if len(await self.all()) >= MOST_RULES:
            raise TooManyLimits
        try:
            async with self._database.write() as connection:
                await connection.execute(insert(LIMIT_RULES).values(**_values(made), create_time=time.time()))
                await bump(connection, KIND)
        except IntegrityError as error:
            raise LimitExists(made) from error
        return made

    async def change(self, id_: str, requests: int, tokens: int, streams: int) -> Rule:
        """Set the limits of a rule. Raises LimitNotFound, InvalidArgument."""
        async with self._database.write() as connection:
            row = (await connection.execute(select(LIMIT_RULES).where(LIMIT_RULES.c.id == id_))).one_or_none()
            if row is None:
                raise LimitNotFound(id_)
            rule = check(Rule(id_, row.tenant, row.caller, row.model, requests, tokens, streams))
            await connection.execute(update(LIMIT_RULES).where(LIMIT_RULES.c.id == id_).values(**_values(rule)))
            await bump(connection, KIND)
        return rule

    async def delete(self, id_: str) -> None:
        """Raises LimitNotFound."""
        async with self._database.write() as connection:
            done = await connection.execute(delete(LIMIT_RULES).where(LIMIT_RULES.c.id == id_))
            if not done.rowcount:
                raise LimitNotFound(id_)
            await bump(connection, KIND)

    async def get(self, id_: str) -> Rule:
        """Raises LimitNotFound."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(LIMIT_RULES).where(LIMIT_RULES.c.id == id_))).one_or_none()
        if row is None:
            raise LimitNotFound(id_)
        return _rule(row)

    async def all(self, tenant: str | None = None) -> Sequence[Rule]:
        """Every rule, or those that name a tenant, oldest first."""
        query = select(LIMIT_RULES).order_by(LIMIT_RULES.c.create_time, LIMIT_RULES.c.id).limit(MOST_RULES)
        if tenant is not None:
            query = query.where(LIMIT_RULES.c.tenant == tenant)
        async with self._database.read() as connection:
            return [_rule(row) for row in await connection.execute(query)]


def _values(rule: Rule) -> dict[str, object]:
    names = ("id", "tenant", "caller", "model", "requests", "tokens", "streams")
    return {name: getattr(rule, name) for name in names}


def _rule(row: Row[tuple[object, ...]]) -> Rule:
    return Rule(row.id, row.tenant, row.caller, row.model, row.requests, row.tokens, row.streams)
