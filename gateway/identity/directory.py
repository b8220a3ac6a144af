"""Callers by the API keys and the users of the database, in memory on every replica, behind a revocation by a
moment only."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gateway.access.permissions import OPERATOR
from gateway.identity import change_log, loading
from gateway.identity.errors import IdentityStale
from gateway.identity.last_used import LastUsed
from gateway.identity.loading import LiveKey, LiveUser, Permissions
from gateway.identity.oidc.tokens import TokenClaims
from services.runtime.errors import Unauthenticated
from services.runtime.identity import Identity
from services.runtime.records.database import Database

CACHED = 20_000


@dataclass(slots=True)
class _Held:
    """A key in memory, and whose it is by the permissions it was last asked under."""

    key: LiveKey
    permissions: Permissions | None = None
    identity: Identity | None = None


class KeyDirectory:
    """Knows callers by their keys. It reads all keys into memory; where there are more than `limit`, the `limit` used
    last, and looks the others up.

    `stale`: seconds since what is in memory was known to be true; beyond `stale_limit` nobody is admitted.
    """

    def __init__(
        self, database: Database, stale: Callable[[], float], stale_limit: float, limit: int, used: LastUsed
    ) -> None:
        self._database = database
        self._stale = stale
        self._stale_limit = stale_limit
        self._limit = limit
        self._used = used
        self._keys: OrderedDict[bytes, _Held] = OrderedDict()
        self._digests: dict[str, bytes] = {}
        self._complete = False
        self._permissions = Permissions({}, {})
        self._number = -1
        self._loads = 0

    @property
    def loads(self) -> int:
        """Grows with every change that was followed."""
        return self._loads

    def permissions(self) -> Permissions:
        """The tenants and their roles. Raises IdentityStale."""
        if self._stale() > self._stale_limit:
            raise IdentityStale
        return self._permissions

    def known(self, secret: str) -> Identity | None:
        """Whose key it is; None where that is not in memory. Raises Unauthenticated where the key has expired,
        TenantSuspended, IdentityStale."""
        digest = hashlib.sha256(secret.encode()).digest()
        held = self._keys.get(digest)
        if held is None:
            return None
        if not self._complete:
            self._keys.move_to_end(digest)
        return self._admitted(held)

    async def find(self, secret: str) -> Identity | None:
        """Whose key it is, by the database where memory does not hold all; None for nobody's. Raises RecordsUnavailable
        beside what `known` does."""
        self.permissions()
        if self._complete:
            return self.known(secret)
        loads = self._loads
        async with self._database.read() as connection:
            found = await loading.key_by_digest(connection, hashlib.sha256(secret.encode()).digest())
        if found is None:
            return None
        if loads == self._loads:  # else it may have changed since it was read
            self._remember([found])
        return self._admitted(_Held(found))

    async def by_id(self, key_id: str) -> Identity | None:
        """Whose live key has this id; None for none. Raises what `find` does."""
        self.permissions()
        digest = self._digests.get(key_id)
        if digest is not None:
            return self._admitted(self._keys[digest])
        if self._complete:
            return None
        async with self._database.read() as connection:
            found = await loading.changed_keys(connection, [key_id], [])
        return self._admitted(_Held(found[0])) if found else None

    async def reload(self) -> None:
        """Follow what changed since the last time; read everything where that is not known."""
        async with self._database.read() as connection:
            known = await change_log.since(connection, self._number) if self._number >= 0 else None
            number, entries = known or (await change_log.newest(connection), ())
            fewer = known is not None and not {"tenant", "role"} & {kind for kind, _ in entries}
            permissions = self._permissions if fewer else await loading.permissions(connection)
            keys, principals = change_log.named(entries, "key"), change_log.named(entries, "principal")
            found = await loading.changed_keys(connection, keys, principals) if self._complete else ()
        everything = None if known else await self._all()
        # From here on nothing waits: callers see what was before, or what is now.
        if known is None:
            self._keys.clear()
            self._digests.clear()
            self._complete = everything is not None
        self._forget(keys, principals)
        self._remember(everything or found)
        self._permissions = permissions
        self._number = number
        self._loads += 1

    async def _all(self) -> Sequence[LiveKey] | None:
        """All keys; None where they are more than the limit."""
        async with self._database.read() as connection:
            if await loading.count(connection) > self._limit:
                return None
        found: list[LiveKey] = []
        after, more = "", True
        while more:
            async with self._database.read() as connection:
                page, after = await loading.page(connection, after, time.time())
            found += page
            more = bool(after)
        return found

    def _forget(self, keys: Iterable[str], principals: set[str]) -> None:
        gone = [digest for key in keys if (digest := self._digests.get(key)) is not None]
        if principals:
            gone += [digest for digest, held in self._keys.items() if held.key.principal in principals]
        for digest in gone:
            held = self._keys.pop(digest, None)
            if held is not None:
                del self._digests[held.key.id]

    def _remember(self, keys: Iterable[LiveKey]) -> None:
        for key in keys:
            self._keys[key.digest] = _Held(key)
            self._digests[key.id] = key.digest
        while len(self._keys) > self._limit:
            self._complete = False
            _, oldest = self._keys.popitem(last=False)
            del self._digests[oldest.key.id]

    def _admitted(self, held: _Held) -> Identity:
        permissions, key = self.permissions(), held.key
        if key.expires <= time.time():
            raise Unauthenticated("the API key has expired")
        permissions.check(key.tenant)
        if held.identity is None or held.permissions is not permissions:
            scopes = permissions.of_roles(key.tenant, key.roles, key.scopes)
            held.identity = Identity(key.tenant, key.subject, scopes, key.project, key.id)
            held.permissions = permissions
        self._used.note(key.id)
        return held.identity


class Users:
    """Knows users by their tokens. What was looked up is kept until something of identity changes."""

    def __init__(self, database: Database, directory: KeyDirectory, cached: int = CACHED) -> None:
        self._database = database
        self._directory = directory
        self._cached = cached
        self._users: OrderedDict[tuple[str, str], LiveUser | None] = OrderedDict()
        self._loads = 0

    async def identify(self, claims: TokenClaims) -> Identity:
        """Raises Unauthenticated, TenantSuspended, IdentityStale, RecordsUnavailable."""
        self._directory.permissions().check(claims.tenant)
        user = await self._find(claims.tenant, claims.subject)
        if user is not None and not user.active:
            raise Unauthenticated("the user is suspended")
        # An issuer that is a tenant's own must not make its users the operators of all tenants.
        named = {role for role in claims.roles if role != OPERATOR}
        roles = tuple(sorted(named.union(user.roles if user else ())))
        permissions = self._directory.permissions().of_roles(claims.tenant, roles)
        return Identity(claims.tenant, claims.subject, permissions, roles=claims.roles, claims=claims.passed)

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
