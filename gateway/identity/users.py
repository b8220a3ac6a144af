"""Whose a checked token is: the roles it names, and those that its user has in the records."""

from collections import OrderedDict

from gateway.access.permissions import OPERATOR
from gateway.identity import loading
from gateway.identity.directory import Directory
from gateway.identity.loading import LiveUser
from gateway.identity.oidc.claims import Claims
from services.runtime.errors import Unauthenticated
from services.runtime.identity import Identity
from services.runtime.records.database import Database

CACHED = 20_000


class Users:
    """Knows users by their tokens. What was looked up is kept until something of identity changes."""

    def __init__(self, database: Database, directory: Directory, cached: int = CACHED) -> None:
        self._database = database
        self._directory = directory
        self._cached = cached
        self._users: OrderedDict[tuple[str, str], LiveUser | None] = OrderedDict()
        self._loads = 0

    async def identify(self, claims: Claims) -> Identity:
        """Raises Unauthenticated, TenantSuspended, IdentityStale, RecordsUnavailable."""
        self._directory.grants().check(claims.tenant)
        user = await self._find(claims.tenant, claims.subject)
        if user is not None and not user.active:
            raise Unauthenticated("the user is suspended")
        # An issuer that is a tenant's own must not make its users the operators of all tenants.
        named = {role for role in claims.roles if role != OPERATOR}
        roles = tuple(sorted(named.union(user.roles if user else ())))
        permissions = self._directory.grants().permissions(claims.tenant, roles)
        return Identity(claims.tenant, claims.subject, permissions, roles=claims.roles)

    async def _find(self, tenant: str, subject: str) -> LiveUser | None:
        if self._loads != self._directory.loads:
            self._users.clear()
            self._loads = self._directory.loads
        asked = (tenant, subject)
        if asked in self._users:
            self._users.move_to_end(asked)
            return self._users[asked]
        loads = self._loads
        async with self._database.read() as connection:
            found = await loading.user(connection, tenant, subject)
        if loads == self._directory.loads:
            self._users[asked] = found
            if len(self._users) > self._cached:
                self._users.popitem(last=False)
        return found
