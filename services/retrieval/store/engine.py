"""What a vector engine must do: points with two vectors and a payload. What the points mean is told in points.py."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

from services.retrieval.model import Candidates, CollectionKey, NumberRange, Signal, Sparse, StoreQuery, Vector
from services.runtime.embedders import MINILM

Payload: TypeAlias = dict[str, Any]
Values: TypeAlias = Sequence[str] | Sequence[int]
Found: TypeAlias = Sequence[tuple[str, Payload]]


@dataclass(frozen=True, slots=True)
class Within:
    """The number in a field of the payload is within a range."""

    field: str
    range: NumberRange


@dataclass(frozen=True, slots=True)
class Empty:
    """An indexed field has no value. Where it has any, `mark` is one of them: engines test what is quicker."""

    field: str
    mark: str


FieldTest: TypeAlias = tuple[str, Values] | Within | Empty
"""That an indexed field has one of the values or none at all, or that a number is within a range."""


@dataclass(frozen=True, slots=True)
class Where:
    """Points of which each of `all_of` is true, none of `none_of`, and of each group of `any_of` at least one."""

    all_of: Sequence[FieldTest] = ()
    none_of: Sequence[FieldTest] = ()
    any_of: "Sequence[Sequence[Where]]" = ()

    def __bool__(self) -> bool:
        """Whether it excludes anything."""
        return bool(self.all_of or self.none_of or self.any_of)

    @property
    def key(self) -> Hashable:
        """The same as a key."""
        tests = tuple(tuple(map(_test_key, part)) for part in (self.all_of, self.none_of))
        return tests, tuple(tuple(one.key for one in group) for group in self.any_of)


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


def _test_key(test: FieldTest) -> Hashable:
    return test if isinstance(test, Within | Empty) else (test[0], tuple(test[1]))


Operation: TypeAlias = Upsert | Remove | Amend


@dataclass(frozen=True, slots=True)
class About:
    """What is on record of a collection. `create_time`: seconds since 1970.

    `embedders`: that of each generation of its index, by number. `generation`: the one that is searched; a later one is
    being made, an earlier one is about to go.
    """

    max_chars: int
    create_time: float
    generation: int = 0
    embedders: Mapping[int, str] = field(default_factory=lambda: {0: MINILM.name})

    @property
    def next(self) -> int | None:
        """The generation that is being made."""
        latest = max(self.embedders)
        return latest if latest > self.generation else None

    def with_generation(self, embedder: str) -> "About":
        """With one more generation, the latest."""
        return replace(self, embedders={**self.embedders, max(self.embedders) + 1: embedder})

    def without(self, generation: int) -> "About":
        return replace(self, embedders={n: name for n, name in self.embedders.items() if n != generation})


def candidates_of(signals: Sequence[Signal], exact: int, answers: Sequence[Sequence[tuple[str, float]]]) -> Candidates:
    """What an engine answered: each signal's best, then each identifier's, then for each signal the scores of what the
    others found."""
    identifiers, others = answers[len(signals) :][:exact], answers[len(signals) + exact :]
    found = dict(zip(signals, answers, strict=False))
    also = {signal: dict(scores) for signal, scores in zip(signals, others, strict=False)}
    return Candidates(found, also, identifiers)


class VectorEngine(Protocol):
    """Collections of points, each in one generation or several. Methods raise CollectionNotFound, where the key's
    generation is not there too, and StoreUnavailable where the engine is gone."""

    async def create(self, key: CollectionKey, about: About) -> None:
        """Raises CollectionExists."""

    async def about(self, key: CollectionKey) -> About:
        """What is on record of the collection, whatever the key's generation."""

    async def extend(self, key: CollectionKey, embedder: str) -> About:
        """Add a generation to the collection, the latest and empty."""

    async def switch(self, key: CollectionKey) -> None:
        """Make the key's generation the one that is searched, at once and for good."""

    async def retire(self, key: CollectionKey) -> None:
        """Delete the key's generation, which is not the one that is searched."""

    async def moving(self) -> Sequence[CollectionKey]:
        """The collections of all tenants that have more generations than one."""

    async def names(self, tenant: str) -> Sequence[str]:
        """The tenant's collections, in order."""

    async def owned(self) -> Sequence[CollectionKey]:
        """The collections, in each generation, that no other process can write to."""

    async def drop(self, key: CollectionKey) -> None:
        """Delete the collection, all generations."""

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
