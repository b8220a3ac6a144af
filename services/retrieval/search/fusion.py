"""Two signals made one score.

A convex combination of scores, not of ranks: cosines are comparable from passage to passage as they are, and BM25
becomes so when it is divided by the best score that the query reached. It keeps what ranks throw away, how much
better the first is than the second.
"""

from collections.abc import Mapping

from services.retrieval.model import Candidates, Signal, SignalScore

Weights = Mapping[Signal, float]


def fuse(candidates: Candidates, weights: Weights) -> list[tuple[str, float, list[SignalScore]]]:
    """The candidates by fused score (0 to 1), best first, each with its score taken apart.

    The weights of the signals that were used count as shares of one. A signal of weight 0 only finds candidates.
    """
    used = [signal for signal in Signal if signal in candidates.found]
    total = sum(weights[signal] for signal in used) or 1.0
    tables = {signal: _Table(signal, candidates, weights[signal] / total) for signal in used}
    ids = dict.fromkeys(found for signal in used for found, _ in candidates.found[signal])
    fused = []
    for passage_id in ids:
        parts = [part for signal in used if (part := tables[signal].part(passage_id))]
        fused.append((passage_id, sum(part.contribution for part in parts), parts))
    fused.sort(key=lambda each: (-each[1], each[0]))
    return fused


class _Table:
    """One signal's scores, by passage."""

    def __init__(self, signal: Signal, candidates: Candidates, weight: float) -> None:
        found = candidates.found[signal]
        self._signal = signal
        self._ranks = {passage_id: rank for rank, (passage_id, _) in enumerate(found, 1)}
        self._scores = {**candidates.also.get(signal, {}), **dict(found)}
        best = max(self._scores.values(), default=0.0)
        self._scale = weight if signal is Signal.DENSE else (weight / best if best > 0 else 0.0)

    def part(self, passage_id: str) -> SignalScore | None:
        """What this signal says of the passage; None where it knows nothing of it."""
        score = self._scores.get(passage_id)
        if score is None:
            return None
        contribution = self._scale * min(max(score, 0.0), 1.0 if self._signal is Signal.DENSE else score)
        return SignalScore(self._signal, score, self._ranks.get(passage_id, 0), max(contribution, 0.0))
