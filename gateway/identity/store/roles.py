"""Roles: those that every tenant has, and its own."""

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, delete, func, select, update

from gateway.access.authorize import checked
from gateway.access.permissions import BUILT_IN
from gateway.identity.errors import AlreadyExists, NotFound
from gateway.identity.journal import changed
from gateway.identity.nouns import Role
from gateway.identity.store.shared import added, known_tenant, names, slug
from gateway.identity.tables import BINDINGS, ROLES
from services.runtime.errors import InvalidArgument
from services.runtime.records.database import Database

MOST_ROLES = 200


class RoleStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, tenant: str, name: str, permissions: Iterable[str]) -> Role:
        """Make a role of the tenant's, or give it other permissions."""
        if slug(name, "role") in BUILT_IN:
            raise AlreadyExists("role", name)
        made = Role(tenant, name, checked(permissions), time.time())
        stored = json.dumps(sorted(made.permissions))
        async with self._database.write() as connection:
            await changed(connection, "role", tenant)
            await known_tenant(connection, tenant)
            found = await connection.execute(update(ROLES).where(_is(tenant, name)).values(permissions=stored))
            if not found.rowcount:
                count = select(func.count()).select_from(ROLES).where(ROLES.c.tenant == tenant)
                if (await connection.scalar(count) or 0) >= MOST_ROLES:
                    raise InvalidArgument(f"a tenant has at most {MOST_ROLES} roles of its own", field="role")
                row = {"tenant": tenant, "name": name, "permissions": stored, "created": made.created}
                await added(connection, ROLES, row)
        return made

    async def get(self, tenant: str, name: str) -> Role:
        if name in BUILT_IN:
            return Role("", name, BUILT_IN[name])
        async with self._database.read() as connection:
            row = (await connection.execute(select(ROLES).where(_is(tenant, name)))).one_or_none()
        if row is None:
            raise NotFound("role", name)
        return role(row)

    async def list(self, tenant: str) -> Sequence[Role]:
        """Those that every tenant has, then the tenant's own, by name."""
        query = select(ROLES).where(ROLES.c.tenant == tenant).order_by(ROLES.c.name)
        async with self._database.read() as connection:
            own = [role(row) for row in await connection.execute(query)]
        return [*(Role("", name, patterns) for name, patterns in BUILT_IN.items()), *own]

    async def delete(self, tenant: str, name: str) -> None:
        """Delete a role of the tenant's. Whoever has it has it no more."""
        async with self._database.write() as connection:
            await changed(connection, "role", tenant)
            if not (await connection.execute(delete(ROLES).where(_is(tenant, name)))).rowcount:
                raise NotFound("role", name)
            bound = (BINDINGS.c.tenant == tenant) & (BINDINGS.c.role == name)
            await connection.execute(delete(BINDINGS).where(bound))


def role(row: Row[Any]) -> Role:
    """A role of a tenant's own, as it is stored."""
    return Role(row.tenant, row.name, frozenset(names(row.permissions)), row.created)


def _is(tenant: str, name: str) -> Any:
    return (ROLES.c.tenant == tenant) & (ROLES.c.name == name)
