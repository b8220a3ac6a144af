"""The one question, wherever it is asked: may this caller do that? And what becomes of patterns of permissions."""

import re
from collections.abc import Iterable

from services.runtime.call import Call
from services.runtime.errors import InvalidArgument, PermissionDenied, Unauthenticated
from services.runtime.identity import Identity
from services.runtime.permissions import EVERYTHING, half_includes, halves, includes
from services.runtime.permissions import allows as allows

LONGEST = 200
MOST = 100
_FORM = re.compile(r"(?:[a-z_.]+\*?|\*):(?:[^\s*]+\*?|\*)")


def covers(scopes: Iterable[str], pattern: str) -> bool:
    """Whether one of the patterns allows all that `pattern` does."""
    return any(includes(scope, pattern) for scope in scopes)


def narrowed(patterns: Iterable[str], scopes: Iterable[str]) -> frozenset[str]:
    """Patterns of what both the one side and the other allow."""
    scopes = tuple(scopes)
    both = {found for one in patterns for other in scopes if (found := _both(one, other)) is not None}
    return frozenset(one for one in both if not any(one != other and includes(other, one) for other in both))


def checked(patterns: Iterable[str]) -> frozenset[str]:
    """The patterns, if that is what they are. Raises InvalidArgument."""
    found = frozenset(patterns)
    if len(found) > MOST:
        raise InvalidArgument(f"there are {len(found)} permissions; the most is {MOST}", field="permissions")
    for pattern in found:
        if pattern != EVERYTHING and (len(pattern) > LONGEST or not _FORM.fullmatch(pattern)):
            raise InvalidArgument(
                f'{pattern[:LONGEST]!r} is no permission: write "<area>.<verb>:<resource>", where either half may end '
                'in "*"',
                field="permissions",
            )
    return found


def _both(one: str, other: str) -> str | None:
    """The pattern of what both allow. Of two halves that have anything in common one covers the other."""
    common: list[str] = []
    for mine, yours in zip(halves(one), halves(other), strict=True):
        if half_includes(mine, yours):
            common.append(yours)
        elif half_includes(yours, mine):
            common.append(mine)
        else:
            return None
    return EVERYTHING if common == [EVERYTHING, EVERYTHING] else ":".join(common)


OTHER_TENANTS = "admin.tenants"


def authorize(identity: Identity, permission: str) -> None:
    """Raises PermissionDenied, naming the permission that is missing."""
    if not allows(identity.scopes, permission):
        raise missing(permission)


def require(call: Call, *permissions: str) -> None:
    """Raises Unauthenticated where the call has no identity, and what `authorize` does for each of the permissions."""
    if call.identity is None:
        raise Unauthenticated("this call has no identity")
    for permission in permissions:
        authorize(call.identity, permission)


def may(call: Call, permission: str) -> bool:
    """Whether the caller has the permission, where one who has not is told of nothing that is there."""
    return call.identity is not None and allows(call.identity.scopes, permission)


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
