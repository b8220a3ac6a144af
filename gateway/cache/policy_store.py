"""The cache's policies in the database."""

import time
from dataclasses import dataclass

from sqlalchemy import Row, delete, func, select

from gateway.cache.tables import CACHE_POLICIES
from services.runtime.errors import DomainError, ErrorKind
from services.runtime.records.changes import bump
from services.runtime.records.database import Database
from services.runtime.records.upsert import upsert

KIND = "cache"
# All of them are held in memory.
MOST = 10_000


class CachePolicyNotFound(DomainError):
    kind = ErrorKind.NOT_FOUND
    reason = "CACHE_POLICY_NOT_FOUND"

    def __init__(self, tenant: str, agent: str) -> None:
        super().__init__("there is no such policy of the cache", tenant=tenant, agent=agent)


class TooManyCachePolicies(DomainError):
    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_CACHE_POLICIES"

    def __init__(self) -> None:
        super().__init__(f"there are {MOST} policies of the cache, and there may be no more")


@dataclass(frozen=True, slots=True)
class StoredCachePolicy:
    """`agent`: an agent or a model; empty for all that have none of their own. `spec`: YAML. `updated`: seconds since
    the epoch."""

    tenant: str
    agent: str
    spec: str
    updated: float


class CachePolicyStore:
    """Everything raises RecordsUnavailable where the database is gone. Specs are checked by whoever puts them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, tenant: str, agent: str, spec: str) -> StoredCachePolicy:
        """Set the policy, in place of what there was. Raises TooManyCachePolicies."""
        stored = StoredCachePolicy(tenant, agent, spec, time.time())
        values = {"spec": spec, "updated": stored.updated}
        statement = upsert(CACHE_POLICIES).values(tenant=tenant, agent=agent, **values)
        async with self._database.write() as connection:
            await connection.execute(statement.on_conflict_do_update(index_elements=["tenant", "agent"], set_=values))
            if (await connection.scalar(select(func.count()).select_from(CACHE_POLICIES)) or 0) > MOST:
                raise TooManyCachePolicies
            await bump(connection, KIND)
        return stored

    async def delete(self, tenant: str, agent: str) -> None:
        """Raises CachePolicyNotFound."""
        table = CACHE_POLICIES.c
        async with self._database.write() as connection:
            gone = await connection.execute(delete(CACHE_POLICIES).where(table.tenant == tenant, table.agent == agent))
            if not gone.rowcount:
                raise CachePolicyNotFound(tenant, agent)
            await bump(connection, KIND)

    async def all(self, tenant: str | None = None) -> list[StoredCachePolicy]:
        """Those of a tenant, or all there are; by tenant and agent."""
        query = select(CACHE_POLICIES).order_by(CACHE_POLICIES.c.tenant, CACHE_POLICIES.c.agent)
        if tenant is not None:
            query = query.where(CACHE_POLICIES.c.tenant == tenant)
        async with self._database.read() as connection:
            return [_stored(row) for row in await connection.execute(query)]


def _stored(row: Row[tuple[str, str, str, float]]) -> StoredCachePolicy:
    return StoredCachePolicy(row.tenant, row.agent, row.spec, row.updated)
