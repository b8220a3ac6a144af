"""The policies of one kind in the database: one for a tenant, and one for each of its agents that has its own."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Row, Table, delete, func, select

from services.runtime.errors import DomainError
from services.runtime.records.changes import bump
from services.runtime.records.database import Database
from services.runtime.records.upsert import upsert

# All of them are held in memory, ready to use.
MOST = 10_000


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """`agent`: empty for all that have none of their own. `spec`: YAML. `updated`: seconds since the epoch."""

    tenant: str
    agent: str
    spec: str
    updated: float


class PolicyStore:
    """Everything raises RecordsUnavailable where the database is gone. Specs are checked by whoever puts them.

    `table` has a StoredPolicy's fields, `kind` names its changes; `missing` and `full` are the errors of a policy that
    is not there, and of more than MOST.
    """

    def __init__(
        self,
        database: Database,
        table: Table,
        kind: str,
        missing: Callable[[str, str], DomainError],
        full: Callable[[], DomainError],
    ) -> None:
        self._database = database
        self._table = table
        self._kind = kind
        self._missing = missing
        self._full = full

    async def put(self, tenant: str, agent: str, spec: str) -> StoredPolicy:
        """Set the policy, in place of what there was. Raises what `full` makes."""
        stored = StoredPolicy(tenant, agent, spec, time.time())
        values = {"spec": spec, "updated": stored.updated}
        statement = upsert(self._table).values(tenant=tenant, agent=agent, **values)
        async with self._database.write() as connection:
            await connection.execute(statement.on_conflict_do_update(index_elements=["tenant", "agent"], set_=values))
            if (await connection.scalar(select(func.count()).select_from(self._table)) or 0) > MOST:
                raise self._full()
            await bump(connection, self._kind)
        return stored

    async def delete(self, tenant: str, agent: str) -> None:
        """Raises what `missing` makes."""
        of = self._table.c
        async with self._database.write() as connection:
            gone = await connection.execute(delete(self._table).where(of.tenant == tenant, of.agent == agent))
            if not gone.rowcount:
                raise self._missing(tenant, agent)
            await bump(connection, self._kind)

    async def all(self, tenant: str | None = None) -> list[StoredPolicy]:
        """Those of a tenant, or all there are; by tenant and agent."""
        query = select(self._table).order_by(self._table.c.tenant, self._table.c.agent)
        if tenant is not None:
            query = query.where(self._table.c.tenant == tenant)
        async with self._database.read() as connection:
            return [_stored(row) for row in await connection.execute(query)]


def _stored(row: Row[tuple[str, str, str, float]]) -> StoredPolicy:
    return StoredPolicy(row.tenant, row.agent, row.spec, row.updated)
