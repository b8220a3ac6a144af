"""Tenants and their projects."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, delete, select, update

from gateway.identity.change_log import changed
from gateway.identity.errors import AlreadyExists, NotFound
from gateway.identity.model import AccountState, Project, Tenant
from gateway.identity.store.shared import added, creating, known_tenant, label, one, page_size, slug
from gateway.identity.tables import API_KEYS, BINDINGS, PRINCIPALS, PROJECTS, TENANTS
from gateway.metadata import NewId, new_id
from services.runtime.records.database import Database


class TenantStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, tenant: str, display_name: str = "") -> Tenant:
        """A new tenant; its id is its name for good."""
        label(display_name, "display_name")
        made = Tenant(slug(tenant, "tenant"), display_name or tenant, AccountState.ACTIVE, time.time())
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

    async def set_state(self, tenant: str, state: AccountState) -> Tenant:
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
    return Tenant(row.id, row.display_name, AccountState(row.state), row.created)


class ProjectStore:
    def __init__(self, database: Database, new_id: NewId = new_id) -> None:
        self._database = database
        self._new_id = new_id

    async def create(self, tenant: str, name: str) -> Project:
        made = Project(self._new_id("prj"), tenant, label(name, "name", least=1), time.time())
        async with creating(self._database, "project", name) as connection:
            await known_tenant(connection, tenant)
            await added(connection, PROJECTS, asdict(made))
        return made

    async def get(self, tenant: str, project: str) -> Project:
        query = select(PROJECTS).where(PROJECTS.c.tenant == tenant, PROJECTS.c.id == project)
        async with self._database.read() as connection:
            return _project(await one(connection, query, "project", project))

    async def list(self, tenant: str, after: str = "", size: int = 100) -> Sequence[Project]:
        """The tenant's projects whose ids come after `after`, in that order."""
        query = select(PROJECTS).where(PROJECTS.c.tenant == tenant, PROJECTS.c.id > after)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(PROJECTS.c.id).limit(page_size(size)))
            return [_project(row) for row in rows]

    async def delete(self, tenant: str, project: str) -> None:
        """Delete the project with its bindings. Its keys are revoked."""
        async with self._database.write() as connection:
            await changed(connection, "project", project)
            mine = (PROJECTS.c.tenant == tenant) & (PROJECTS.c.id == project)
            if not (await connection.execute(delete(PROJECTS).where(mine))).rowcount:
                raise NotFound("project", project)
            await connection.execute(delete(BINDINGS).where(BINDINGS.c.project == project))
            live = (API_KEYS.c.project == project) & API_KEYS.c.revoked.is_(None)
            keys = (await connection.scalars(select(API_KEYS.c.id).where(live))).all()
            await connection.execute(update(API_KEYS).where(live).values(revoked=time.time()))
            await changed(connection, "key", *keys)


def _project(row: Row[Any]) -> Project:
    return Project(row.id, row.tenant, row.name, row.created)
