"""Reading from the database what replicas keep in memory of identity."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.identity.grants import Grants
from gateway.identity.nouns import PrincipalKind, State, Tenant
from gateway.identity.store.roles import role
from gateway.identity.store.shared import names
from gateway.identity.tables import API_KEYS, BINDINGS, PRINCIPALS, ROLES, TENANTS

PAGE = 1_000
FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class LiveKey:
    """A key that is neither revoked nor its principal's suspended. `expires`: seconds since the epoch; `roles` are the
    key's own and its principal's, for its project."""

    digest: bytes
    id: str
    tenant: str
    project: str
    principal: str
    subject: str
    roles: tuple[str, ...]
    scopes: frozenset[str]
    expires: float


@dataclass(frozen=True, slots=True)
class LiveUser:
    """A user as tokens name it: whether it is active, and the roles it has in the whole tenant."""

    active: bool
    roles: tuple[str, ...]


_KEYS = (
    select(API_KEYS, PRINCIPALS.c.name.label("subject"))
    .join(PRINCIPALS, PRINCIPALS.c.id == API_KEYS.c.principal)
    .where(API_KEYS.c.revoked.is_(None), PRINCIPALS.c.state == State.ACTIVE)
    .order_by(API_KEYS.c.id)
)


async def grants(connection: AsyncConnection) -> Grants:
    """All tenants and their roles."""
    tenants = [
        Tenant(row.id, row.display_name, State(row.state), row.created)
        for row in await connection.execute(select(TENANTS))
    ]
    return Grants.of(tenants, [role(row) for row in await connection.execute(select(ROLES))])


async def count(connection: AsyncConnection) -> int:
    """How many keys there are, the dead ones too."""
    return int(await connection.scalar(select(func.count()).select_from(API_KEYS)) or 0)


async def page(connection: AsyncConnection, after: str, now: float) -> tuple[Sequence[LiveKey], str]:
    """A page of the live keys that have not expired, with the id to go on after; empty on the last."""
    unexpired = API_KEYS.c.expires.is_(None) | (API_KEYS.c.expires > now)
    rows = (await connection.execute(_KEYS.where(API_KEYS.c.id > after, unexpired).limit(PAGE))).all()
    return await _keys(connection, rows), rows[-1].id if len(rows) == PAGE else ""


async def keys_by_digest(connection: AsyncConnection, digest: bytes) -> Sequence[LiveKey]:
    """The live key of this hash, if there is one."""
    return await _found(connection, API_KEYS.c.sha256 == digest.hex())


async def changed_keys(
    connection: AsyncConnection, keys: Iterable[str], principals: Iterable[str]
) -> Sequence[LiveKey]:
    """The live ones of these keys, and of the keys of these principals."""
    found = await _in_pages(connection, API_KEYS.c.id, keys)
    return [*found, *await _in_pages(connection, API_KEYS.c.principal, principals)]


async def user(connection: AsyncConnection, tenant: str, subject: str) -> LiveUser | None:
    """The user that tokens name by `subject`, never a service account; None where the database knows of none."""
    named = (PRINCIPALS.c.tenant == tenant) & (PRINCIPALS.c.name == subject)
    query = select(PRINCIPALS).where(named, PRINCIPALS.c.kind == PrincipalKind.USER)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    bound = await _bindings(connection, [row.id])
    return LiveUser(row.state == State.ACTIVE, _roles(bound.get(row.id, ()), ""))


async def _in_pages(connection: AsyncConnection, column: Any, wanted: Iterable[str]) -> Sequence[LiveKey]:
    asked, found = sorted(wanted), list[LiveKey]()
    for start in range(0, len(asked), PAGE):
        found += await _found(connection, column.in_(asked[start : start + PAGE]))
    return found


async def _found(connection: AsyncConnection, condition: ColumnElement[bool]) -> Sequence[LiveKey]:
    return await _keys(connection, (await connection.execute(_KEYS.where(condition))).all())


async def _keys(connection: AsyncConnection, rows: Sequence[Any]) -> Sequence[LiveKey]:
    bound = await _bindings(connection, sorted({row.principal for row in rows}))
    return [_key(row, bound.get(row.principal, ())) for row in rows]


async def _bindings(connection: AsyncConnection, principals: Sequence[str]) -> Mapping[str, Sequence[tuple[str, str]]]:
    """The roles and their projects, by principal."""
    found: dict[str, list[tuple[str, str]]] = {}
    for start in range(0, len(principals), PAGE):
        asked = principals[start : start + PAGE]
        for row in await connection.execute(select(BINDINGS).where(BINDINGS.c.principal.in_(asked))):
            found.setdefault(row.principal, []).append((row.role, row.project))
    return found


def _roles(bound: Iterable[tuple[str, str]], project: str, own: Iterable[str] = ()) -> tuple[str, ...]:
    here = {role for role, where in bound if not where or where == project}
    return tuple(sorted(here.union(own)))


def _key(row: Any, bound: Iterable[tuple[str, str]]) -> LiveKey:
    return LiveKey(
        bytes.fromhex(row.sha256), row.id, row.tenant, row.project, row.principal, row.subject,
        _roles(bound, row.project, names(row.roles)), frozenset(names(row.scopes)),
        FOREVER if row.expires is None else row.expires,
    )  # fmt: skip
