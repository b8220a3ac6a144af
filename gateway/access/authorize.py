"""Permissions, the patterns that allow them, and the one question, wherever it is asked: may this caller do that?

A permission is "<area>.<verb>:<resource>", such as "models.call:rag". Either half of a pattern may end in "*", which
stands for any rest; "*" alone is "*:*".
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from services.runtime.errors import InvalidArgument, PermissionDenied
from services.runtime.identity import Identity

EVERYTHING = "*"
LONGEST = 200
MOST = 100
_FORM = re.compile(r"(?:[a-z_.]+\*?|\*):(?:[^\s*]+\*?|\*)")
CACHED = 16_384


@lru_cache(CACHED)
def allows(scopes: frozenset[str], permission: str) -> bool:
    """Whether one of the patterns allows the permission."""
    return any(_covers(pattern, permission) for pattern in scopes)


def covers(scopes: Iterable[str], pattern: str) -> bool:
    """Whether one of the patterns allows all that `pattern` does."""
    return any(_covers(scope, pattern) for scope in scopes)


def narrowed(patterns: Iterable[str], scopes: Iterable[str]) -> frozenset[str]:
    """Patterns of what both the one side and the other allow."""
    scopes = tuple(scopes)
    both = {found for one in patterns for other in scopes if (found := _both(one, other)) is not None}
    return frozenset(one for one in both if not any(one != other and _covers(other, one) for other in both))


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


def _halves(pattern: str) -> tuple[str, str]:
    if pattern == EVERYTHING:
        return EVERYTHING, EVERYTHING
    area, _, resource = pattern.partition(":")
    return area, resource


def _covers(pattern: str, other: str) -> bool:
    if pattern == EVERYTHING:
        return True
    (area, resource), (other_area, other_resource) = _halves(pattern), _halves(other)
    return _half(area, other_area) and _half(resource, other_resource)


def _half(pattern: str, other: str) -> bool:
    return other.startswith(pattern[:-1]) if pattern.endswith("*") else other == pattern


def _both(one: str, other: str) -> str | None:
    """The pattern of what both allow. Of two halves that have anything in common one covers the other."""
    halves: list[str] = []
    for mine, yours in zip(_halves(one), _halves(other), strict=True):
        if _half(mine, yours):
            halves.append(yours)
        elif _half(yours, mine):
            halves.append(mine)
        else:
            return None
    return EVERYTHING if halves == [EVERYTHING, EVERYTHING] else ":".join(halves)


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
