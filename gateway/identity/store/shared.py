"""What the stores of identity have in common."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Row, Select, Table, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.access.permissions import BUILT_IN
from gateway.identity.errors import AlreadyExists, BadName, NotFound
from gateway.identity.tables import NAME, PRINCIPALS, PROJECTS, ROLES, TENANTS
from services.runtime.records.database import Database

MOST = 1_000
_SLUG = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")


def slug(value: str, field: str) -> str:
    """A name that other things are named by. Raises BadName."""
    if not _SLUG.fullmatch(value):
        raise BadName(f"{field} is 1 to 63 of a-z, 0-9, '.', '-' and '_', a letter or a digit first", field=field)
    return value


def label(value: str, field: str, *, least: int = 0) -> str:
    """A text for people, in one line. Raises BadName."""
    if not least <= len(value) <= NAME or any(ord(one) < 32 or 0xD800 <= ord(one) < 0xE000 for one in value):
        raise BadName(f"{field} has {least} to {NAME} characters, all in one line", field=field)
    return value


def names(values: str) -> tuple[str, ...]:
    """A list of names as it is stored."""
    return tuple(json.loads(values))


def page_size(size: int) -> int:
    return max(1, min(size, MOST))


async def one(connection: AsyncConnection, query: Select[Any], noun: str, name: str) -> Row[Any]:
    """The row. Raises NotFound."""
    row: Row[Any] | None = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound(noun, name)
    return row


async def known_tenant(connection: AsyncConnection, tenant: str) -> None:
    """Raises NotFound where there is no such tenant."""
    await one(connection, select(TENANTS.c.id).where(TENANTS.c.id == tenant), "tenant", tenant)


async def known_principal(connection: AsyncConnection, tenant: str, principal: str) -> None:
    """Raises NotFound where the tenant has no such principal."""
    query = select(PRINCIPALS.c.id).where(PRINCIPALS.c.tenant == tenant, PRINCIPALS.c.id == principal)
    await one(connection, query, "principal", principal)


async def known_role(connection: AsyncConnection, tenant: str, role: str) -> None:
    """Raises NotFound where the role is neither one that every tenant has nor the tenant's own."""
    if role not in BUILT_IN:
        query = select(ROLES.c.name).where(ROLES.c.tenant == tenant, ROLES.c.name == role)
        await one(connection, query, "role", role)


async def known_project(connection: AsyncConnection, tenant: str, project: str) -> None:
    """Raises NotFound where the tenant has no such project; an empty one is the whole tenant."""
    if project:
        query = select(PROJECTS.c.id).where(PROJECTS.c.tenant == tenant, PROJECTS.c.id == project)
        await one(connection, query, "project", project)


async def added(connection: AsyncConnection, table: Table, row: Mapping[str, Any]) -> None:
    await connection.execute(insert(table).values(**row))


@asynccontextmanager
async def creating(database: Database, noun: str, name: str) -> AsyncIterator[AsyncConnection]:
    """A transaction that makes something. Raises AlreadyExists where its name is taken."""
    try:
        async with database.write() as connection:
            yield connection
    except IntegrityError as error:
        raise AlreadyExists(noun, name) from error
