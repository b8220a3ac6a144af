"""The questions whose answers are kept, by partition, and their vectors; of this process, and bounded."""

import time
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gateway.cache.semantic.facts import Facts
from gateway.cache.semantic.learning import ErrorBudget, Threshold

Vector = npt.NDArray[np.float32]
MOST_IN_PARTITION = 2_000
MOST = 20_000
CANDIDATES = 8
LONGEST_SAID = 4_000


@dataclass(slots=True)
class Known:
    """A question whose answer is kept under `key` until it `expires`, and the beginning of what that says."""

    key: str
    facts: Facts
    said: str
    expires: float
    threshold: Threshold = field(default_factory=Threshold)


@dataclass(slots=True)
class Partition:
    """The questions of a tenant that may have each other's answers; `vectors` has a row for each, in order."""

    tenant: str
    budget: ErrorBudget
    known: list[Known] = field(default_factory=list)
    vectors: Vector = field(default_factory=lambda: np.empty((0, 0), dtype=np.float32))

    def nearest(self, vector: Vector, least: float) -> list[tuple[float, Known]]:
        """The CANDIDATES that are most alike, by their cosine, of `least` at least."""
        for key in [each.key for each in self.known if each.expires < time.time()]:
            self.drop(key)
        if not self.known:
            return []
        cosines = self.vectors[: len(self.known)] @ vector
        best = np.argsort(-cosines)[:CANDIDATES]
        return [(float(cosines[at]), self.known[at]) for at in best if cosines[at] >= least]

    def add(self, known: Known, vector: Vector) -> None:
        """The oldest goes where there are too many."""
        self.drop(known.key)
        if len(self.known) >= MOST_IN_PARTITION:
            self.drop(self.known[0].key)
        count = len(self.known)
        if count >= len(self.vectors):
            grown = np.zeros((max(16, 2 * count), len(vector)), dtype=np.float32)
            grown[:count] = self.vectors[:count] if count else grown[:0]
            self.vectors = grown
        self.vectors[count] = vector
        self.known.append(known)

    def drop(self, key: str) -> None:
        place = next((at for at, each in enumerate(self.known) if each.key == key), None)
        if place is not None:
            del self.known[place]
            self.vectors[place:-1] = self.vectors[place + 1 :]


class QuestionIndex:
    """MOST questions in all; the partition that was asked longest ago goes first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._partitions: OrderedDict[str, Partition] = OrderedDict()

    def of(self, tenant: str, partition: str, share: float) -> Partition:
        """A partition, of whose answers a `share` may be wrong."""
        found = self._partitions.get(partition)
        if found is None:
            found = self._partitions[partition] = Partition(tenant, ErrorBudget(share))
        found.budget.share = share
        self._partitions.move_to_end(partition)
        while len(self._partitions) > 1 and sum(len(each.known) for each in self._partitions.values()) > self._most:
            self._partitions.popitem(last=False)
        return found

    def drop(self, partition: str, key: str) -> None:
        """Have no longer the question of an answer that is gone."""
        if (found := self._partitions.get(partition)) is not None:
            found.drop(key)

    def drop_tenant(self, tenant: str) -> None:
        """Have none of a tenant; what was learned of its partitions stays."""
        for partition in self._partitions.values():
            if partition.tenant == tenant:
                for key in [each.key for each in partition.known]:
                    partition.drop(key)
