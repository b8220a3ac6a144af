"""Specs by tenant, name and version in the records database: of agents, and of prompts."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import Table, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.schema.tables import REVISIONS
from services.runtime.records.changes import bump
from services.runtime.records.database import Database


@dataclass(frozen=True, slots=True)
class Stored:
    """A version: its YAML, and the digest of what that means. `create_time`: seconds since the epoch."""

    name: str
    version: int
    spec: str
    digest: str
    create_time: float


class VersionStore:
    """The versions in one `table`, whose changes the change feed has as `kind`. A version that was deleted keeps its
    number, so that what names it never names another one. All methods raise RecordsUnavailable."""

    def __init__(self, database: Database, table: Table, kind: str) -> None:
        self._database = database
        self._table = table
        self._kind = kind
        self._live = table.c.delete_time.is_(None)
        self._stored = [column for column in table.c if column.name not in ("tenant", "delete_time")]

    async def apply(self, tenant: str, name: str, spec: str, digest: str) -> tuple[Stored, bool]:
        """Store the next version, unless the latest has this digest; and whether it is a new one."""
        table = self._table
        latest = await self.get(tenant, name)
        if latest is not None and latest.digest == digest:
            return latest, False
        taken = select(func.max(table.c.version)).where(table.c.tenant == tenant, table.c.name == name)
        async with self._changing() as connection:
            latest = await self._one(connection, tenant, name)
            if latest is not None and latest.digest == digest:
                return latest, False
            version = ((await connection.execute(taken)).scalar() or 0) + 1
            stored = Stored(name, version, spec, digest, time.time())
            row = {"tenant": tenant, **{column.name: getattr(stored, column.name) for column in self._stored}}
            await connection.execute(insert(table).values(**row))
        return stored, True

    async def get(self, tenant: str, name: str, version: int = 0) -> Stored | None:
        """A version; 0 for the latest."""
        async with self._database.read() as connection:
            return await self._one(connection, tenant, name, version)

    async def latest(self, tenant: str) -> dict[str, int]:
        """The tenant's names, with their latest versions."""
        table = self._table
        query = select(table.c.name, func.max(table.c.version)).where(table.c.tenant == tenant, self._live)
        async with self._database.read() as connection:
            return {row[0]: row[1] for row in await connection.execute(query.group_by(table.c.name))}

    async def versions(self, tenant: str, name: str, limit: int, before: int | None = None) -> Sequence[Stored]:
        """The versions of a name, the latest first, from the one after `before`."""
        table = self._table
        query = select(*self._stored).where(table.c.tenant == tenant, table.c.name == name, self._live)
        if before is not None:
            query = query.where(table.c.version < before)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(table.c.version.desc()).limit(limit))
            return [Stored(**row._asdict()) for row in rows]

    async def delete(self, tenant: str, name: str, version: int = 0) -> int:
        """Delete a version, or all with 0; how many there were."""
        table = self._table
        change = update(table).where(table.c.tenant == tenant, table.c.name == name, self._live)
        if version:
            change = change.where(table.c.version == version)
        async with self._changing() as connection:
            return (await connection.execute(change.values(delete_time=time.time(), spec=""))).rowcount

    async def all(self, tenant: str) -> Sequence[Stored]:
        """Every version of every name of the tenant."""
        table = self._table
        query = (
            select(*self._stored).where(table.c.tenant == tenant, self._live).order_by(table.c.name, table.c.version)
        )
        async with self._database.read() as connection:
            return [Stored(**row._asdict()) for row in await connection.execute(query)]

    async def erase(self, tenant: str) -> int:
        """Delete all of the tenant's, deleted ones' remains included; how many versions there were. Names and numbers
        stay taken."""
        table = self._table
        mine = update(table).where(table.c.tenant == tenant)
        async with self._changing() as connection:
            live = (await connection.execute(mine.where(self._live).values(delete_time=time.time()))).rowcount
            await connection.execute(mine.values(spec="", digest=""))
        return live

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that changes them: one at a time among all replicas, for each begins with the same row."""
        async with self._database.write() as connection:
            await bump(connection, self._kind, REVISIONS)
            yield connection

    async def _one(self, connection: AsyncConnection, tenant: str, name: str, version: int = 0) -> Stored | None:
        table = self._table
        query = select(*self._stored).where(table.c.tenant == tenant, table.c.name == name, self._live)
        if version:
            query = query.where(table.c.version == version)
        row = (await connection.execute(query.order_by(table.c.version.desc()).limit(1))).one_or_none()
        return Stored(**row._asdict()) if row else None
