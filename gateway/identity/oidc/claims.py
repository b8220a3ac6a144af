"""What a token says of its bearer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.identity.oidc.issuer import Issuer
from services.runtime.errors import Unauthenticated

LONGEST = 200
MOST_ROLES = 100
LATEST = 1 << 40


@dataclass(frozen=True, slots=True)
class Claims:
    """Who a token that was found good speaks of. `expires`: seconds since the epoch."""

    tenant: str
    subject: str
    roles: tuple[str, ...]
    expires: float


def read(found: Mapping[str, Any], issuer: Issuer) -> Claims:
    """Raises Unauthenticated, naming the claim that is missing or wrong."""
    subject = _text(found, issuer.subject_claim)
    tenant = issuer.tenant or _text(found, issuer.tenant_claim)
    roles = _roles(_claim(found, issuer.roles_claim), issuer.roles_claim)
    return Claims(tenant, subject, roles, float(min(int(found["exp"]), LATEST)))


def _claim(found: Mapping[str, Any], name: str) -> Any:
    """The claim of this name, or that at the end of the path, such as "realm_access.roles"."""
    if name in found:
        return found[name]
    at: Any = found
    for part in name.split("."):
        at = at.get(part) if isinstance(at, dict) else None
    return at


def _text(found: Mapping[str, Any], name: str) -> str:
    value = _claim(found, name)
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST or not value.isprintable():
        raise Unauthenticated(f"the token has no usable claim {name!r}")
    return value


def _roles(value: Any, name: str) -> tuple[str, ...]:
    """A list, or names with spaces between; none is none."""
    roles = value.split() if isinstance(value, str) else [] if value is None else value
    if not isinstance(roles, list) or len(roles) > MOST_ROLES or not all(isinstance(one, str) for one in roles):
        raise Unauthenticated(f"the token has no usable claim {name!r}")
    return tuple(sorted(set(roles)))
