"""Tenants."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, delete, select, update

from gateway.identity.errors import AlreadyExists, NotFound
from gateway.identity.journal import changed
from gateway.identity.nouns import State, Tenant
from gateway.identity.store.shared import added, creating, label, one, page_size, slug
from gateway.identity.tables import PRINCIPALS, TENANTS
from services.runtime.records.database import Database


class TenantStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, tenant: str, display_name: str = "") -> Tenant:
        """A new tenant; its id is its name for good."""
        label(display_name, "display_name")
        made = Tenant(slug(tenant, "tenant"), display_name or tenant, State.ACTIVE, time.time())
        async with creating(self._database, "tenant", tenant) as connection:
            await changed(connection, "tenant", tenant)
            await added(connection, TENANTS, asdict(made))
        return made

    async def ensure(self, tenant: str) -> None:
        """Make the tenant if there is none of that name: the operator's own keys come before anybody can."""
        try:
            await self.get(tenant)
        except NotFound:
            with suppress(AlreadyExists):
                await self.create(tenant)

    async def get(self, tenant: str) -> Tenant:
        async with self._database.read() as connection:
            return _tenant(await one(connection, select(TENANTS).where(TENANTS.c.id == tenant), "tenant", tenant))

    async def list(self, after: str = "", size: int = 100) -> Sequence[Tenant]:
        """The tenants whose ids come after `after`, in that order."""
        query = select(TENANTS).where(TENANTS.c.id > after).order_by(TENANTS.c.id).limit(page_size(size))
        async with self._database.read() as connection:
            return [_tenant(row) for row in await connection.execute(query)]

    async def set_state(self, tenant: str, state: State) -> Tenant:
        """Suspend the tenant, which keeps everybody of it out, or let it in again."""
        async with self._database.write() as connection:
            await changed(connection, "tenant", tenant)
            await connection.execute(update(TENANTS).where(TENANTS.c.id == tenant).values(state=state))
            return _tenant(await one(connection, select(TENANTS).where(TENANTS.c.id == tenant), "tenant", tenant))

    async def delete(self, tenant: str) -> None:
        """Delete the tenant with its projects, principals, roles and keys."""
        async with self._database.write() as connection:
            await changed(connection, "tenant", tenant)
            own = select(PRINCIPALS.c.id).where(PRINCIPALS.c.tenant == tenant)
            await changed(connection, "principal", *(await connection.scalars(own)).all())
            gone = await connection.execute(delete(TENANTS).where(TENANTS.c.id == tenant))
            if not gone.rowcount:
                raise NotFound("tenant", tenant)


def _tenant(row: Row[Any]) -> Tenant:
    return Tenant(row.id, row.display_name, State(row.state), row.created)
