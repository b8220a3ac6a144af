"""The guards' policies in the database."""

import time
from dataclasses import dataclass

from sqlalchemy import Row, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.guard.tables import GUARD_POLICIES
from services.runtime.errors import DomainError, ErrorKind
from services.runtime.records.changes import bump
from services.runtime.records.database import Database
from services.runtime.records.upsert import upsert

KIND = "guards"
# All of them are held in memory, ready to use.
MOST = 10_000


class GuardPolicyNotFound(DomainError):
    kind = ErrorKind.NOT_FOUND
    reason = "GUARD_POLICY_NOT_FOUND"

    def __init__(self, tenant: str, agent: str) -> None:
        super().__init__("there is no such policy of guards", tenant=tenant, agent=agent)


class TooManyGuardPolicies(DomainError):
    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_GUARD_POLICIES"

    def __init__(self) -> None:
        super().__init__(f"there are {MOST} policies of guards, and there may be no more")


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """`agent`: empty for all that have none of their own. `spec`: YAML. `updated`: seconds since the epoch."""

    tenant: str
    agent: str
    spec: str
    updated: float


class GuardStore:
    """Everything raises RecordsUnavailable where the database is gone. Specs are checked by whoever puts them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, tenant: str, agent: str, spec: str) -> StoredPolicy:
        """Set the policy, in place of what there was. Raises TooManyGuardPolicies."""
        stored = StoredPolicy(tenant, agent, spec, time.time())
        async with self._database.write() as connection:
            await _upsert(connection, stored)
            if (await connection.scalar(select(func.count()).select_from(GUARD_POLICIES)) or 0) > MOST:
                raise TooManyGuardPolicies
            await bump(connection, KIND)
        return stored

    async def delete(self, tenant: str, agent: str) -> None:
        """Raises GuardPolicyNotFound."""
        table = GUARD_POLICIES.c
        async with self._database.write() as connection:
            gone = await connection.execute(delete(GUARD_POLICIES).where(table.tenant == tenant, table.agent == agent))
            if not gone.rowcount:
                raise GuardPolicyNotFound(tenant, agent)
            await bump(connection, KIND)

    async def all(self, tenant: str | None = None) -> list[StoredPolicy]:
        """Those of a tenant, or all there are; by tenant and agent."""
        query = select(GUARD_POLICIES).order_by(GUARD_POLICIES.c.tenant, GUARD_POLICIES.c.agent)
        if tenant is not None:
            query = query.where(GUARD_POLICIES.c.tenant == tenant)
        async with self._database.read() as connection:
            return [_stored(row) for row in await connection.execute(query)]


async def _upsert(connection: AsyncConnection, stored: StoredPolicy) -> None:
    values = {"spec": stored.spec, "updated": stored.updated}
    statement = upsert(GUARD_POLICIES).values(tenant=stored.tenant, agent=stored.agent, **values)
    await connection.execute(statement.on_conflict_do_update(index_elements=["tenant", "agent"], set_=values))


def _stored(row: Row[tuple[str, str, str, float]]) -> StoredPolicy:
    return StoredPolicy(row.tenant, row.agent, row.spec, row.updated)
