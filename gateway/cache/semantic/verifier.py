"""Says how likely two questions are to have the same answer: a regression over figures of the pair."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from gateway.cache.semantic.facts import Facts
from gateway.cache.semantic.pairs import NAMES, figures

SHIPPED = Path(__file__).with_name("verifier.json")
"""Fitted by `python -m bench.cache.fit`."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """Of one embedder. `floors`: by language, the least score at which no near miss was let through when it was fitted,
    each group of questions left out in turn; languages without one were not measured."""

    weights: Sequence[float]
    bias: float
    floors: Mapping[str, float]

    def score(self, one: Facts, other: Facts, cosine: float) -> float:
        """0 to 1."""
        sum_ = self.bias + sum(map(float.__mul__, self.weights, figures(one, other, cosine)))
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, sum_))))


def read(embedder: str, path: Path = SHIPPED) -> Verifier | None:
    """The verifier of an embedder's vectors; None where none was fitted. Raises ValueError for another form."""
    found = orjson.loads(path.read_bytes())
    if found["names"] != list(NAMES):
        raise ValueError(f"{path} is of other figures: fit it anew with `python -m bench.cache.fit`")
    own = found["embedders"].get(embedder)
    return None if own is None else Verifier(tuple(own["weights"]), own["bias"], own["floors"])
