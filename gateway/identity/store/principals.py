"""Users and service accounts, and the roles they have."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, delete, select, update

from gateway.access.permissions import BUILT_IN
from gateway.identity.errors import NotFound
from gateway.identity.journal import changed
from gateway.identity.nouns import Binding, Principal, PrincipalKind, State
from gateway.identity.store.shared import (
    added,
    creating,
    known_principal,
    known_project,
    known_tenant,
    label,
    one,
    page_size,
)
from gateway.identity.tables import BINDINGS, PRINCIPALS, ROLES
from gateway.metadata import NewId, new_id
from services.runtime.records.database import Database


class PrincipalStore:
    def __init__(self, database: Database, new_id: NewId = new_id) -> None:
        self._database = database
        self._new_id = new_id

    async def create(self, tenant: str, kind: PrincipalKind, name: str, display_name: str = "") -> Principal:
        """A new one. A user's name is the subject of the tokens that the issuer makes for it."""
        label(name, "name", least=1)
        label(display_name, "display_name")
        made = Principal(
            self._new_id("usr" if kind is PrincipalKind.USER else "svc"),
            tenant,
            kind,
            name,
            display_name or name,
            State.ACTIVE,
            time.time(),
        )
        async with creating(self._database, "principal", name) as connection:
            await known_tenant(connection, tenant)
            await changed(connection, "principal", made.id)
            await added(connection, PRINCIPALS, asdict(made))
        return made

    async def get(self, tenant: str, principal: str) -> Principal:
        async with self._database.read() as connection:
            return _principal(
                await one(connection, select(PRINCIPALS).where(_is(tenant, principal)), *_what(principal))
            )

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

    async def set_state(self, tenant: str, principal: str, state: State) -> Principal:
        """Suspend the principal, which keeps its keys and its tokens out, or let it in again."""
        async with self._database.write() as connection:
            await changed(connection, "principal", principal)
            await connection.execute(update(PRINCIPALS).where(_is(tenant, principal)).values(state=state))
            return _principal(
                await one(connection, select(PRINCIPALS).where(_is(tenant, principal)), *_what(principal))
            )

    async def delete(self, tenant: str, principal: str) -> None:
        """Delete the principal with its bindings and its keys."""
        async with self._database.write() as connection:
            await changed(connection, "principal", principal)
            if not (await connection.execute(delete(PRINCIPALS).where(_is(tenant, principal)))).rowcount:
                raise NotFound(*_what(principal))

    async def bind(self, tenant: str, principal: str, role: str, project: str = "") -> Binding:
        """Give the principal a role, in the project or in the whole tenant."""
        made = Binding(tenant, principal, role, project, time.time())
        async with creating(self._database, "binding", role) as connection:
            await changed(connection, "principal", principal)
            await known_principal(connection, tenant, principal)
            await known_project(connection, tenant, project)
            if role not in BUILT_IN:
                custom = select(ROLES.c.name).where(ROLES.c.tenant == tenant, ROLES.c.name == role)
                await one(connection, custom, "role", role)
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


def _is(tenant: str, principal: str) -> Any:
    return (PRINCIPALS.c.tenant == tenant) & (PRINCIPALS.c.id == principal)


def _what(principal: str) -> tuple[str, str]:
    return "principal", principal


def _principal(row: Row[Any]) -> Principal:
    kind, state = PrincipalKind(row.kind), State(row.state)
    return Principal(row.id, row.tenant, kind, row.name, row.display_name, state, row.created)
