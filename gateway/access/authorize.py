"""May this caller do that? The one question, wherever it is asked."""

from collections.abc import Iterable

from gateway.access.patterns import allows, covers
from services.runtime.errors import PermissionDenied
from services.runtime.identity import Identity

OTHER_TENANTS = "admin.tenants"


def authorize(identity: Identity, permission: str) -> None:
    """Raises PermissionDenied, naming the permission that is missing."""
    if not allows(identity.scopes, permission):
        raise missing(permission)


def may_grant(identity: Identity, patterns: Iterable[str]) -> None:
    """Nobody gives away more than they have. Raises PermissionDenied."""
    for pattern in sorted(patterns):
        if not covers(identity.scopes, pattern):
            raise PermissionDenied(f"to give {pattern} away one has to have it", permission=pattern)


def tenant_for(identity: Identity, asked: str, verb: str) -> str:
    """The tenant that an admin call is about: the caller's own where none is named. Another one needs the permission
    "admin.tenants:<verb>", `verb` being "read" or "write". Raises PermissionDenied."""
    if asked and asked != identity.tenant:
        authorize(identity, f"{OTHER_TENANTS}:{verb}")
    return asked or identity.tenant


def missing(permission: str) -> PermissionDenied:
    """The error of a caller who lacks `permission`."""
    return PermissionDenied(f"the permission {permission} is missing", permission=permission)
