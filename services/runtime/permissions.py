"""Permissions, and the patterns that allow them, wherever one is asked for.

A permission is "<area>.<verb>:<resource>", such as "models.call:rag". Either half of a pattern may end in "*", which
stands for any rest; "*" alone is "*:*".
"""

from functools import lru_cache

EVERYTHING = "*"
CACHED = 16_384


@lru_cache(CACHED)
def allows(scopes: frozenset[str], permission: str) -> bool:
    """Whether one of the patterns allows the permission."""
    return any(includes(pattern, permission) for pattern in scopes)


def includes(pattern: str, other: str) -> bool:
    """Whether the pattern allows all that the other one does; a permission is a pattern of itself."""
    if pattern == EVERYTHING:
        return True
    (area, resource), (other_area, other_resource) = halves(pattern), halves(other)
    return half_includes(area, other_area) and half_includes(resource, other_resource)


def halves(pattern: str) -> tuple[str, str]:
    """The area with the verb, and the resource."""
    if pattern == EVERYTHING:
        return EVERYTHING, EVERYTHING
    area, _, resource = pattern.partition(":")
    return area, resource


def half_includes(half: str, other: str) -> bool:
    return other.startswith(half[:-1]) if half.endswith("*") else other == half
