"""Agents' specs in the records database: by tenant, name and version."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.schema.tables import AGENTS, REVISIONS
from services.runtime.records.changes import bump
from services.runtime.records.database import Database

KIND = "agents"
"""Of the change feed."""
_LIVE = AGENTS.c.delete_time.is_(None)
_STORED = [column for column in AGENTS.c if column.name not in ("tenant", "delete_time")]


@dataclass(frozen=True, slots=True)
class Stored:
    """A version of an agent: its YAML, and the digest of what that means. `create_time`: seconds since the epoch."""

    name: str
    version: int
    spec: str
    digest: str
    create_time: float


class AgentStore:
    """All methods raise RecordsUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def apply(self, tenant: str, name: str, spec: str, digest: str) -> tuple[Stored, bool]:
        """Store the next version, unless the latest has this digest; and whether it is a new one."""
        latest = await self.get(tenant, name)
        if latest is not None and latest.digest == digest:
            return latest, False
        taken = select(func.max(AGENTS.c.version)).where(AGENTS.c.tenant == tenant, AGENTS.c.name == name)
        async with self._changing() as connection:
            latest = await _one(connection, tenant, name)
            if latest is not None and latest.digest == digest:
                return latest, False
            version = ((await connection.execute(taken)).scalar() or 0) + 1
            stored = Stored(name, version, spec, digest, time.time())
            row = {"tenant": tenant, **{column.name: getattr(stored, column.name) for column in _STORED}}
            await connection.execute(insert(AGENTS).values(**row))
        return stored, True

    async def get(self, tenant: str, name: str, version: int = 0) -> Stored | None:
        """A version; 0 for the latest."""
        async with self._database.read() as connection:
            return await _one(connection, tenant, name, version)

    async def latest(self, tenant: str) -> dict[str, int]:
        """The names of the tenant's agents, with their latest versions."""
        query = select(AGENTS.c.name, func.max(AGENTS.c.version)).where(AGENTS.c.tenant == tenant, _LIVE)
        async with self._database.read() as connection:
            return {row[0]: row[1] for row in await connection.execute(query.group_by(AGENTS.c.name))}

    async def versions(self, tenant: str, name: str, limit: int, before: int | None = None) -> Sequence[Stored]:
        """The versions of an agent, the latest first, from the one after `before`."""
        query = select(*_STORED).where(AGENTS.c.tenant == tenant, AGENTS.c.name == name, _LIVE)
        if before is not None:
            query = query.where(AGENTS.c.version < before)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(AGENTS.c.version.desc()).limit(limit))
            return [Stored(**row._asdict()) for row in rows]

    async def delete(self, tenant: str, name: str, version: int = 0) -> int:
        """Delete a version, or all with 0; how many there were."""
        change = update(AGENTS).where(AGENTS.c.tenant == tenant, AGENTS.c.name == name, _LIVE)
        if version:
            change = change.where(AGENTS.c.version == version)
        async with self._changing() as connection:
            return (await connection.execute(change.values(delete_time=time.time(), spec=""))).rowcount

    async def all(self, tenant: str) -> Sequence[Stored]:
        """Every version of every agent of the tenant."""
        query = select(*_STORED).where(AGENTS.c.tenant == tenant, _LIVE).order_by(AGENTS.c.name, AGENTS.c.version)
        async with self._database.read() as connection:
            return [Stored(**row._asdict()) for row in await connection.execute(query)]

    async def erase(self, tenant: str) -> int:
        """Delete all of the tenant's, deleted ones' remains included; how many versions there were. Names and numbers
        stay taken."""
        mine = update(AGENTS).where(AGENTS.c.tenant == tenant)
        async with self._changing() as connection:
            live = (await connection.execute(mine.where(_LIVE).values(delete_time=time.time()))).rowcount
            await connection.execute(mine.values(spec="", digest=""))
        return live

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that changes agents: one at a time among all replicas, for each begins with the same row."""
        async with self._database.write() as connection:
            await bump(connection, KIND, REVISIONS)
            yield connection


async def _one(connection: AsyncConnection, tenant: str, name: str, version: int = 0) -> Stored | None:
    query = select(*_STORED).where(AGENTS.c.tenant == tenant, AGENTS.c.name == name, _LIVE)
    if version:
        query = query.where(AGENTS.c.version == version)
    row = (await connection.execute(query.order_by(AGENTS.c.version.desc()).limit(1))).one_or_none()
    return Stored(**row._asdict()) if row else None
