"""What identity is made of. Times are seconds since the epoch; None is never."""

from dataclasses import dataclass
from enum import StrEnum

LONGEST_GROUP = 200


def is_group(name: str) -> bool:
    """Whether a group can have this name."""
    return 0 < len(name) <= LONGEST_GROUP and name.isprintable()


class AccountState(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"


class PrincipalKind(StrEnum):
    USER = "user"
    SERVICE_ACCOUNT = "service_account"


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who owns keys, budgets and collections. Nobody of a suspended one is admitted."""

    id: str
    display_name: str
    state: AccountState
    created: float


@dataclass(frozen=True, slots=True)
class Project:
    """A part of a tenant's work, with keys of its own."""

    id: str
    tenant: str
    name: str
    created: float


@dataclass(frozen=True, slots=True)
class Principal:
    """A user, whose name is the subject of the issuer's tokens, or a service account. `groups` are in order."""

    id: str
    tenant: str
    kind: PrincipalKind
    name: str
    display_name: str
    state: AccountState
    created: float
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Role:
    """A name for permissions. `tenant` is empty for those that every tenant has."""

    tenant: str
    name: str
    permissions: frozenset[str]
    created: float = 0.0


@dataclass(frozen=True, slots=True)
class Binding:
    """A principal has a role: in one project, or, where that is empty, in the whole tenant."""

    tenant: str
    principal: str
    role: str
    project: str
    created: float


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as it is listed: never its secret. It may do what its principal's roles and its own `roles` permit,
    and, where there are `scopes`, no more than these. `replaced_by` is the key that it was rotated to."""

    id: str
    tenant: str
    project: str
    principal: str
    name: str
    prefix: str
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    created: float
    expires: float | None
    last_used: float | None
    revoked: float | None
    replaced_by: str | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made, with the secret, which is returned this once."""

    key: ApiKey
    secret: str
