"""Nobody gives away more than they have."""

from collections.abc import Iterable

from gateway.access.authorize import checked, may_grant, narrowed
from gateway.identity.model import ApiKey
from gateway.identity.store import IdentityStore
from services.runtime.identity import Identity


class GrantCheck:
    """Checks that a caller may hand out a role or a key. Raises PermissionDenied, naming what the caller lacks."""

    def __init__(self, store: IdentityStore) -> None:
        self._store = store

    async def role(self, who: Identity, tenant: str, role: str) -> None:
        """The caller gives somebody the role. Raises NotFound."""
        may_grant(who, (await self._store.roles.get(tenant, role)).permissions)

    async def key(
        self, who: Identity, tenant: str, principal: str, project: str, roles: Iterable[str], scopes: Iterable[str]
    ) -> None:
        """The caller makes a key that does what the principal's roles and its own permit, within the scopes."""
        bindings = await self._store.principals.bindings(tenant, principal)
        names = {one.role for one in bindings if one.project in ("", project)} | set(roles)
        found: set[str] = set()
        for name in sorted(names):
            found |= (await self._store.roles.get(tenant, name)).permissions
        within = checked(scopes)
        may_grant(who, narrowed(found, within) if within else found)

    async def rotation(self, who: Identity, key: ApiKey) -> None:
        """The caller gets the secret of a key that does what `key` does."""
        await self.key(who, key.tenant, key.principal, key.project, key.roles, key.scopes)
