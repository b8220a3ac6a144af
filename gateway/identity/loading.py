"""What replicas read of identity and keep in memory: keys and users, and what their roles permit."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from sys import intern
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.access.authorize import narrowed
from gateway.access.permissions import BUILT_IN
from gateway.identity.errors import TenantSuspended
from gateway.identity.model import AccountState, PrincipalKind
from gateway.identity.store.shared import names
from gateway.identity.tables import API_KEYS, BINDINGS, PRINCIPALS, ROLES, TENANTS
from services.runtime.errors import Unauthenticated

CACHED = 4_096
NOTHING: frozenset[str] = frozenset()
PAGE = 500
CACHED_TUPLES = 1_024
FOREVER = float("inf")
Bound = tuple[tuple[str, str], ...]
_COLUMNS = ("id", "tenant", "project", "principal", "sha256", "roles", "scopes", "expires")
_KEYS = (
    select(*(API_KEYS.c[name] for name in _COLUMNS), PRINCIPALS.c.name.label("subject"), PRINCIPALS.c.groups)
    .join(PRINCIPALS, PRINCIPALS.c.id == API_KEYS.c.principal)
    .where(API_KEYS.c.revoked.is_(None), PRINCIPALS.c.state == AccountState.ACTIVE)
    .order_by(API_KEYS.c.id)
)


@dataclass(frozen=True, slots=True)
class Permissions:
    """The tenants and their own roles, as they were at one time. `of_roles` is worked out once for callers of the
    same roles and scopes."""

    tenants: Mapping[str, AccountState]
    roles: Mapping[tuple[str, str], frozenset[str]]
    _known: dict[tuple[str, tuple[str, ...], frozenset[str]], frozenset[str]] = field(default_factory=dict)

    def check(self, tenant: str) -> None:
        """Raises TenantSuspended; Unauthenticated for a tenant that there is not."""
        state = self.tenants.get(tenant)
        if state is None:
            raise Unauthenticated("the caller's tenant does not exist")
        if state is not AccountState.ACTIVE:
            raise TenantSuspended(tenant)

    def of_roles(self, tenant: str, roles: tuple[str, ...], scopes: frozenset[str] = NOTHING) -> frozenset[str]:
        """What the roles permit, and of that what the scopes do, where there are any. A role that there is not, or is
        no longer, permits nothing."""
        key = (tenant, roles, scopes)
        permitted = self._known.get(key)
        if permitted is None:
            permitted = frozenset[str]().union(*(self._of(tenant, role) for role in roles))
            permitted = narrowed(permitted, scopes) if scopes else permitted
            if len(self._known) >= CACHED:
                self._known.clear()
            self._known[key] = permitted
        return permitted

    def _of(self, tenant: str, role: str) -> frozenset[str]:
        return BUILT_IN.get(role) or self.roles.get((tenant, role), NOTHING)


@dataclass(frozen=True, slots=True)
class LiveKey:
    """A key that is neither revoked nor its principal's suspended. `expires`: seconds since the epoch; `roles` are the
    key's own and its principal's, for its project, `groups` its principal's."""

    digest: bytes
    id: str
    tenant: str
    project: str
    principal: str
    subject: str
    roles: tuple[str, ...]
    scopes: frozenset[str]
    expires: float
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveUser:
    """A user as tokens name it: whether it is active, the roles it has in the whole tenant, and its groups."""

    active: bool
    roles: tuple[str, ...]
    groups: tuple[str, ...] = ()


Page = tuple[Sequence[LiveKey], str]


async def permissions(connection: AsyncConnection) -> Permissions:
    """All tenants and their roles."""
    tenants = await connection.execute(select(TENANTS.c.id, TENANTS.c.state))
    roles = await connection.execute(select(ROLES))
    return Permissions(
        {row.id: AccountState(row.state) for row in tenants},
        {(row.tenant, row.name): frozenset(names(row.permissions)) for row in roles},
    )


async def count(connection: AsyncConnection) -> int:
    """How many keys there are, the dead ones too."""
    return int(await connection.scalar(select(func.count()).select_from(API_KEYS)) or 0)


async def page(connection: AsyncConnection, after: str, now: float) -> Page:
    """A page of the live keys that have not expired, with the id to go on after; empty on the last."""
    return await _page(connection, API_KEYS.c.expires.is_(None) | (API_KEYS.c.expires > now), after)


async def key_by_digest(connection: AsyncConnection, digest: bytes) -> LiveKey | None:
    """The live key of this hash, if there is one."""
    found, _ = await _page(connection, API_KEYS.c.sha256 == digest.hex())
    return found[0] if found else None


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
    return LiveUser(row.state == AccountState.ACTIVE, _roles(bound.get(row.id, ()), ""), names(row.groups))


async def _in_pages(connection: AsyncConnection, column: Any, wanted: Iterable[str]) -> Sequence[LiveKey]:
    asked, found = sorted(wanted), list[LiveKey]()
    for start in range(0, len(asked), PAGE):
        condition, after, more = column.in_(asked[start : start + PAGE]), "", True
        while more:
            keys, after = await _page(connection, condition, after)
            found += keys
            more = bool(after)
    return found


async def _page(connection: AsyncConnection, condition: ColumnElement[bool], after: str = "") -> Page:
    rows = (await connection.execute(_KEYS.where(condition, API_KEYS.c.id > after).limit(PAGE))).all()
    bound = await _bindings(connection, sorted({row.principal for row in rows}))
    return [_key(row, bound.get(row.principal, ())) for row in rows], rows[-1].id if len(rows) == PAGE else ""


async def _bindings(connection: AsyncConnection, principals: Sequence[str]) -> Mapping[str, Bound]:
    """The roles and their projects, by principal."""
    found: dict[str, list[tuple[str, str]]] = {}
    for row in await connection.execute(select(BINDINGS).where(BINDINGS.c.principal.in_(principals))):
        found.setdefault(row.principal, []).append((row.role, row.project))
    return {principal: tuple(bound) for principal, bound in found.items()}


@lru_cache(CACHED_TUPLES)
def _roles(bound: Bound, project: str, own: str = "[]") -> tuple[str, ...]:
    """The roles for keys of a project. Keys that have the same share one tuple, as they do one set of scopes."""
    here = {role for role, where in bound if not where or where == project}
    return tuple(sorted(here.union(names(own))))


@lru_cache(CACHED_TUPLES)
def _scopes(stored: str) -> frozenset[str]:
    return frozenset(names(stored))


@lru_cache(CACHED_TUPLES)
def _groups(stored: str) -> tuple[str, ...]:
    return names(stored)


def _key(row: Any, bound: Bound) -> LiveKey:
    return LiveKey(
        bytes.fromhex(row.sha256), row.id, intern(row.tenant), intern(row.project), intern(row.principal),
        intern(row.subject), _roles(bound, row.project, row.roles), _scopes(row.scopes),
        FOREVER if row.expires is None else row.expires, _groups(row.groups),
    )  # fmt: skip
