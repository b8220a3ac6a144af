"""What roles come to: the permissions of a caller, from the tenants and roles that a replica knows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.access.authorize import narrowed
from gateway.access.permissions import BUILT_IN
from gateway.identity.errors import TenantSuspended
from gateway.identity.nouns import Role, State, Tenant
from services.runtime.errors import Unauthenticated

CACHED = 4_096
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Grants:
    """The tenants and their own roles, as they were at one time. `permissions` is worked out once for callers of the
    same roles and scopes."""

    tenants: Mapping[str, State]
    roles: Mapping[tuple[str, str], frozenset[str]]
    _known: dict[tuple[str, tuple[str, ...], frozenset[str]], frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, tenants: Iterable[Tenant], roles: Iterable[Role]) -> "Grants":
        return cls(
            {tenant.id: tenant.state for tenant in tenants},
            {(role.tenant, role.name): role.permissions for role in roles},
        )

    def check(self, tenant: str) -> None:
        """Raises TenantSuspended; Unauthenticated for a tenant that there is not."""
        state = self.tenants.get(tenant)
        if state is None:
            raise Unauthenticated("the caller's tenant does not exist")
        if state is not State.ACTIVE:
            raise TenantSuspended(tenant)

    def permissions(self, tenant: str, roles: tuple[str, ...], scopes: frozenset[str] = NOTHING) -> frozenset[str]:
        """What the roles permit, and of that what the scopes do, where there are any. A role that there is not, or is
        no longer, permits nothing."""
        asked = (tenant, roles, scopes)
        found = self._known.get(asked)
        if found is None:
            found = frozenset[str]().union(*(self._of(tenant, role) for role in roles))
            found = narrowed(found, scopes) if scopes else found
            if len(self._known) >= CACHED:
                self._known.clear()
            self._known[asked] = found
        return found

    def _of(self, tenant: str, role: str) -> frozenset[str]:
        return BUILT_IN.get(role) or self.roles.get((tenant, role), NOTHING)
