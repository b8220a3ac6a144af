"""The signals made one score.

A convex combination of scores, not of ranks: cosines are comparable from passage to passage as they are, and BM25
becomes so when it is divided by the best score that the query reached. It keeps what ranks throw away, how much
better the first is than the second. How well a passage holds the query's identifiers is a score from 0 to 1 already,
and so is a reranker's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from services.retrieval.model import Candidates, Signal, SignalScore

Weights = Mapping[Signal, float]
Ranked = tuple[str, float]


class Fused:
    """The candidates by fused score, 0 to 1, best first in `ranked`.

    The weights of the signals that were used count as shares of one. A candidate that one signal found and the other
    could not score gets nothing from the other.
    """

    def __init__(self, candidates: Candidates, weights: Weights) -> None:
        used = list(candidates.found)
        total = sum(weights[signal] for signal in used) or 1.0
        self._tables = [_Table.of(signal, candidates, weights[signal] / total) for signal in used]
        scores: dict[str, float] = {}
        for table in self._tables:
            for passage_id, score in table.scores.items():
                scores[passage_id] = scores.get(passage_id, 0.0) + table.contribution(score)
        self.ranked: list[Ranked] = sorted(scores.items(), key=lambda each: (-each[1], each[0]))

    def supported(self, passage_id: str, unrelated: float) -> bool:
        """Whether the query has an identifier or a word in the passage, or a cosine with it that is not `unrelated`."""
        return any(
            score >= unrelated if table.signal is Signal.DENSE else score > 0
            for table in self._tables
            if (score := table.scores.get(passage_id)) is not None
        )

    def signals(self, passage_id: str) -> list[SignalScore]:
        """A candidate's score, taken apart."""
        return [
            SignalScore(table.signal, score, table.ranks.get(passage_id, 0), table.contribution(score))
            for table in self._tables
            if (score := table.scores.get(passage_id)) is not None
        ]


@dataclass(frozen=True)
class _Table:
    """One signal's scores. `scale` makes a score's contribution of it."""

    signal: Signal
    found: list[Ranked]
    scores: Mapping[str, float]
    scale: float

    @classmethod
    def of(cls, signal: Signal, candidates: Candidates, weight: float) -> "_Table":
        found = list(candidates.found[signal])
        scores = {**candidates.also.get(signal, {}), **dict(found)}
        best = max(scores.values(), default=0.0) if signal is Signal.LEXICAL else 1.0
        return cls(signal, found, scores, weight / best if best > 0 else 0.0)

    @cached_property
    def ranks(self) -> Mapping[str, int]:
        return {passage_id: rank for rank, (passage_id, _) in enumerate(self.found, 1)}

    def contribution(self, score: float) -> float:
        return self.scale * score if score > 0 else 0.0
