"""Users and service accounts, the roles they have, and the roles of a tenant."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.access.authorize import checked
from gateway.access.permissions import BUILT_IN
from gateway.identity.change_log import changed
from gateway.identity.errors import AlreadyExists, NotFound
from gateway.identity.model import (
    LONGEST_GROUP,
    AccountState,
    Binding,
    Principal,
    PrincipalKind,
    Role,
    is_group,
)
from gateway.identity.store.shared import (
    added,
    creating,
    known_principal,
    known_project,
    known_role,
    known_tenant,
    label,
    names,
    one,
    page_size,
    slug,
)
from gateway.identity.tables import BINDINGS, PRINCIPALS, ROLES
from gateway.metadata import NewId, new_id
from services.runtime.errors import InvalidArgument
from services.runtime.records.database import Database

MOST_ROLES = 200
MOST_GROUPS = 200


class PrincipalStore:
    def __init__(self, database: Database, new_id: NewId = new_id) -> None:
        self._database = database
        self._new_id = new_id

    async def create(
        self, tenant: str, kind: PrincipalKind, name: str, display_name: str = "", groups: Sequence[str] = ()
    ) -> Principal:
        """A new one. A user's name is the subject of the tokens that the issuer makes for it."""
        label(name, "name", least=1)
        label(display_name, "display_name")
        made = Principal(
            self._new_id("usr" if kind is PrincipalKind.USER else "svc"),
            tenant,
            kind,
            name,
            display_name or name,
            AccountState.ACTIVE,
            time.time(),
            _groups(groups),
        )
        async with creating(self._database, "principal", name) as connection:
            await known_tenant(connection, tenant)
            await changed(connection, "principal", made.id)
            await added(connection, PRINCIPALS, asdict(made) | {"groups": json.dumps(made.groups)})
        return made

    async def get(self, tenant: str, principal: str) -> Principal:
        async with self._database.read() as connection:
            return await _get(connection, tenant, principal)

    async def list(
        self, tenant: str, kind: PrincipalKind | None = None, after: str = "", size: int = 100
    ) -> Sequence[Principal]:
        """The tenant's principals whose ids come after `after`, in that order."""
        query = select(PRINCIPALS).where(PRINCIPALS.c.tenant == tenant, PRINCIPALS.c.id > after)
        if kind is not None:
            query = query.where(PRINCIPALS.c.kind == kind)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(PRINCIPALS.c.id).limit(page_size(size)))
            return [_principal(row) for row in rows]

    async def set_state(self, tenant: str, principal: str, state: AccountState) -> Principal:
        """Suspend the principal, which keeps its keys and its tokens out, or let it in again."""
        async with self._database.write() as connection:
            await changed(connection, "principal", principal)
            await connection.execute(update(PRINCIPALS).where(_is_principal(tenant, principal)).values(state=state))
            return await _get(connection, tenant, principal)

    async def set_groups(self, tenant: str, principal: str, groups: Sequence[str]) -> Principal:
        """Put the principal into these groups and no others."""
        stored = json.dumps(_groups(groups))
        async with self._database.write() as connection:
            await changed(connection, "principal", principal)
            await connection.execute(update(PRINCIPALS).where(_is_principal(tenant, principal)).values(groups=stored))
            return await _get(connection, tenant, principal)

    async def delete(self, tenant: str, principal: str) -> None:
        """Delete the principal with its bindings and its keys."""
        async with self._database.write() as connection:
            await changed(connection, "principal", principal)
            if not (await connection.execute(delete(PRINCIPALS).where(_is_principal(tenant, principal)))).rowcount:
                raise NotFound("principal", principal)

    async def bind(self, tenant: str, principal: str, role: str, project: str = "") -> Binding:
        """Give the principal a role, in the project or in the whole tenant."""
        made = Binding(tenant, principal, role, project, time.time())
        async with creating(self._database, "binding", role) as connection:
            await changed(connection, "principal", principal)
            await known_principal(connection, tenant, principal)
            await known_project(connection, tenant, project)
            await known_role(connection, tenant, role)
            await added(connection, BINDINGS, asdict(made))
        return made

    async def unbind(self, tenant: str, principal: str, role: str, project: str = "") -> None:
        """Take the role away again."""
        mine = (BINDINGS.c.tenant == tenant) & (BINDINGS.c.principal == principal)
        this = mine & (BINDINGS.c.role == role) & (BINDINGS.c.project == project)
        async with self._database.write() as connection:
            await changed(connection, "principal", principal)
            if not (await connection.execute(delete(BINDINGS).where(this))).rowcount:
                raise NotFound("binding", role)

    async def bindings(self, tenant: str, principal: str) -> Sequence[Binding]:
        """The roles that the principal has, by name."""
        table = BINDINGS.c
        query = select(BINDINGS).where(table.tenant == tenant, table.principal == principal)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(table.role, table.project))
            return [Binding(row.tenant, row.principal, row.role, row.project, row.created) for row in rows]


async def _get(connection: AsyncConnection, tenant: str, principal: str) -> Principal:
    query = select(PRINCIPALS).where(_is_principal(tenant, principal))
    return _principal(await one(connection, query, "principal", principal))


def _is_principal(tenant: str, principal: str) -> Any:
    return (PRINCIPALS.c.tenant == tenant) & (PRINCIPALS.c.id == principal)


def _principal(row: Row[Any]) -> Principal:
    kind, state = PrincipalKind(row.kind), AccountState(row.state)
    return Principal(row.id, row.tenant, kind, row.name, row.display_name, state, row.created, names(row.groups))


def _groups(groups: Sequence[str]) -> tuple[str, ...]:
    """In order, each once. Raises InvalidArgument."""
    found = tuple(sorted(set(groups)))
    if len(found) > MOST_GROUPS or not all(map(is_group, found)):
        raise InvalidArgument(
            f"a principal is in {MOST_GROUPS} groups at most, of 1 to {LONGEST_GROUP} printable characters",
            field="groups",
        )
    return found


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
            found = await connection.execute(update(ROLES).where(_is_role(tenant, name)).values(permissions=stored))
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
            row = (await connection.execute(select(ROLES).where(_is_role(tenant, name)))).one_or_none()
        if row is None:
            raise NotFound("role", name)
        return _role(row)

    async def list(self, tenant: str) -> Sequence[Role]:
        """Those that every tenant has, then the tenant's own, by name."""
        query = select(ROLES).where(ROLES.c.tenant == tenant).order_by(ROLES.c.name)
        async with self._database.read() as connection:
            own = [_role(row) for row in await connection.execute(query)]
        return [*(Role("", name, patterns) for name, patterns in BUILT_IN.items()), *own]

    async def delete(self, tenant: str, name: str) -> None:
        """Delete a role of the tenant's. Whoever has it has it no more."""
        async with self._database.write() as connection:
            await changed(connection, "role", tenant)
            if not (await connection.execute(delete(ROLES).where(_is_role(tenant, name)))).rowcount:
                raise NotFound("role", name)
            bound = (BINDINGS.c.tenant == tenant) & (BINDINGS.c.role == name)
            await connection.execute(delete(BINDINGS).where(bound))


def _role(row: Row[Any]) -> Role:
    """A role of a tenant's own, as it is stored."""
    return Role(row.tenant, row.name, frozenset(names(row.permissions)), row.created)


def _is_role(tenant: str, name: str) -> Any:
    return (ROLES.c.tenant == tenant) & (ROLES.c.name == name)
