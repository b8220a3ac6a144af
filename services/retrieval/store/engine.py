"""What a vector engine must do: points with two vectors and a payload. What the points mean is told in points.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from services.retrieval.model import Candidates, CollectionKey, Signal, Sparse, StoreQuery, Vector

Payload: TypeAlias = dict[str, Any]
Values: TypeAlias = Sequence[str] | Sequence[int]
Found: TypeAlias = Sequence[tuple[str, Payload]]


@dataclass(frozen=True, slots=True)
class Where:
    """Points whose indexed fields have one of the values of each of `all_of`, and none of those of `none_of`."""

    all_of: Sequence[tuple[str, Values]] = ()
    none_of: Sequence[tuple[str, Values]] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """A point; one without vectors is never found by a query."""

    id: str
    payload: Payload
    dense: Vector | None = None
    lexical: Sparse | None = None


@dataclass(frozen=True, slots=True)
class Upsert:
    """Write points, all or none."""

    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete the points of these ids, and those that `where` names."""

    ids: Sequence[str] = ()
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class Amend:
    """Set fields of the points that `where` names, or of those of these ids."""

    payload: Payload
    ids: Sequence[str] = ()
    where: Where | None = None


Operation: TypeAlias = Upsert | Remove | Amend


@dataclass(frozen=True, slots=True)
class About:
    """What was said of a collection when it was created. `create_time`: seconds since 1970."""

    max_chars: int
    create_time: float


def candidates_of(signals: Sequence[Signal], exact: int, answers: Sequence[Sequence[tuple[str, float]]]) -> Candidates:
    """What an engine answered: each signal's best, then each identifier's, then for each signal the scores of what the
    others found."""
    identifiers, others = answers[len(signals) :][:exact], answers[len(signals) + exact :]
    found = dict(zip(signals, answers, strict=False))
    also = {signal: dict(scores) for signal, scores in zip(signals, others, strict=False)}
    return Candidates(found, also, identifiers)


class VectorEngine(Protocol):
    """Collections of points. Methods raise CollectionNotFound, and StoreUnavailable where the engine is gone."""

    async def create(self, key: CollectionKey, about: About) -> None:
        """Raises CollectionExists."""

    async def about(self, key: CollectionKey) -> About:
        """What `create` was told."""

    async def names(self, tenant: str) -> Sequence[str]:
        """The tenant's collections, in order."""

    def owned(self) -> Sequence[CollectionKey]:
        """The collections that no other process can write to."""

    async def drop(self, key: CollectionKey) -> None:
        """Delete the collection."""

    async def apply(self, key: CollectionKey, operations: Sequence[Operation]) -> None:
        """Do the operations one after the other. Each is durable and whole, or has not happened."""

    async def retrieve(self, key: CollectionKey, ids: Sequence[str], without: Sequence[str] = ()) -> Found:
        """The points of these ids that are there, without some fields of their payload; in no order."""

    async def scroll(
        self, key: CollectionKey, where: Where, only: Sequence[str] = (), without: Sequence[str] = ()
    ) -> Found:
        """All points that `where` names, with only some fields of their payload, or without some; in no order."""

    async def count(self, key: CollectionKey, where: Where) -> int:
        """How many points `where` names."""

    async def query(self, key: CollectionKey, probe: StoreQuery) -> Candidates:
        """The nearest points by each signal of the probe."""

    async def rest(self, key: CollectionKey) -> None:
        """Much was written: bring indexes up to date, in the background."""

    async def ready(self) -> bool:
        """Whether the engine answers."""

    async def aclose(self) -> None:
        """Release everything."""
