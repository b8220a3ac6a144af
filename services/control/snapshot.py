"""An immutable, checked set of resources, and the place where the newest one of each kind of client is kept."""

from collections.abc import Iterable, Mapping, Set
from types import MappingProxyType
from typing import Protocol

from services.control.resources.wire import EDS, RDS, TYPES, Resource, digest


class Inconsistent(ValueError):
    """A set of resources that no client must see: a name twice, or a reference to nothing."""


class Snapshot:
    """Resources by type and name. `versions` follow from the content: equal content, equal version, in any process.

    Raises Inconsistent unless every name is unique within its type, every reference leads to a resource of the set,
    and every route configuration and assignment is referred to. Only the endpoints named in `awaited` may be missing.
    """

    def __init__(self, resources: Iterable[Resource] = (), awaited: Set[str] = frozenset()) -> None:
        found: dict[str, dict[str, Resource]] = {type_url: {} for type_url in TYPES}
        for one in resources:
            if one.name in found[one.type]:
                raise Inconsistent(f"{one.name!r} is there twice among {one.type}")
            found[one.type][one.name] = one
        check(found, awaited)
        self._resources = MappingProxyType({key: MappingProxyType(value) for key, value in found.items()})
        self.versions: Mapping[str, str] = MappingProxyType(
            {key: digest(sorted((one.name, one.version) for one in value.values())) for key, value in found.items()}
        )

    def of(self, type_url: str) -> Mapping[str, Resource]:
        """The resources of a type, by name; empty for a type that no snapshot has."""
        return self._resources.get(type_url, MappingProxyType({}))


def check(resources: Mapping[str, Mapping[str, Resource]], awaited: Set[str]) -> None:
    """Raise Inconsistent for a reference to nothing, or for routes or endpoints that nothing refers to."""
    referred = {reference for of_type in resources.values() for one in of_type.values() for reference in one.refers}
    allowed = {(EDS, name) for name in awaited}
    missing = sorted((kind, name) for kind, name in referred - allowed if name not in resources[kind])
    if missing:
        raise Inconsistent(f"references lead to nothing: {missing}")
    idle = sorted((kind, name) for kind in (RDS, EDS) for name in resources[kind] if (kind, name) not in referred)
    if idle:
        raise Inconsistent(f"nothing refers to {idle}")


class Waker(Protocol):
    """Is set when there is a new snapshot, as an asyncio.Event is."""

    def set(self) -> None: ...


class Cache:
    """The newest snapshot of each kind of client, and those who wait for the next."""

    def __init__(self) -> None:
        self._snapshots: dict[str, Snapshot] = {}
        self._wakers: set[Waker] = set()

    def snapshot(self, kind: str) -> Snapshot:
        """The newest; an empty one for a kind that nothing was set for."""
        return self._snapshots.get(kind) or Snapshot()

    def set(self, snapshots: Mapping[str, Snapshot]) -> None:
        """Replace them all in one step, then wake who listens."""
        self._snapshots = dict(snapshots)
        for waker in self._wakers:
            waker.set()

    def listen(self, waker: Waker) -> None:
        self._wakers.add(waker)

    def forget(self, waker: Waker) -> None:
        self._wakers.discard(waker)
