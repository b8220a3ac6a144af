"""How much each signal of a hybrid search counts, by the query's own figures.

The cosine counts one. BM25 counts more where the embedder does not read the query's language, and where its best
passage stands out among those it found: then it has met what is rare in the query. The coefficients are the means of
those learned on either half of XQuAD's articles, in English, German, Spanish and Vietnamese.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from services.retrieval.model import Candidates, Signal
from services.retrieval.search import exact, reading
from services.retrieval.search.plan import SearchPlan
from services.runtime.language.detect import UNKNOWN

BASE = -1.0
UNREAD = 0.45
STANDING_OUT = 0.65
RERANK = 0.6
"""What a reranker counts, of what it and the other signals but EXACT count together."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The signals' weights, and why they are what they are, for people."""

    by_signal: Mapping[Signal, float]
    reason: str


def weigh(planned: SearchPlan, candidates: Candidates, share: float = 1.0) -> Weights:
    """The weights of the signals that found the candidates; `share`: how much BM25 counts beside the embedder, of what
    it counts beside all-MiniLM-L6-v2."""
    weights = _reranked(_read(_without_exact(planned, candidates, share), candidates), candidates)
    if Signal.EXACT not in candidates.found:
        return weights
    by_signal = {**weights.by_signal, Signal.EXACT: exact.weight(weights.by_signal)}
    return Weights(by_signal, f"{weights.reason}; few passages hold the query's identifiers, and they come first")


def _read(weights: Weights, candidates: Candidates) -> Weights:
    """The weights with that of the reading, where some of the candidates were read."""
    if Signal.READING not in candidates.found:
        return weights
    read = sum(weights.by_signal.values()) * (reading.NEAR + reading.WORDS)
    return Weights({**weights.by_signal, Signal.READING: read}, weights.reason)


def _reranked(weights: Weights, candidates: Candidates) -> Weights:
    """The weights with that of the reranker, where it has read some of the candidates."""
    if Signal.RERANK not in candidates.found:
        return weights
    rerank = sum(weights.by_signal.values()) * RERANK / (1 - RERANK)
    reason = f"{weights.reason}; the reranker has read the best {len(candidates.found[Signal.RERANK])}"
    return Weights({**weights.by_signal, Signal.RERANK: rerank}, reason)


def _without_exact(planned: SearchPlan, candidates: Candidates, share: float) -> Weights:
    if not planned.embed:
        return Weights({Signal.DENSE: 0.0, Signal.LEXICAL: 1.0}, planned.without_vector)
    if planned.lexical is None:
        return Weights({Signal.DENSE: 1.0, Signal.LEXICAL: 0.0}, "BM25 has no words to go by, or was not asked")
    ahead = standing_out(candidates)
    lexical = share * math.exp(BASE + UNREAD * (not planned.read) + STANDING_OUT * ahead)
    language = f"its language ({planned.language})" if planned.language != UNKNOWN else "words of no certain language"
    reason = (
        f"the embedder {'reads' if planned.read else 'does not read'} {language}; "
        f"BM25's best passage is {ahead:.0%} ahead of its second"
    )
    return Weights({Signal.DENSE: 1.0, Signal.LEXICAL: lexical}, reason)


def standing_out(candidates: Candidates) -> float:
    """0 to 1: how far BM25's best passage is ahead of the second, as a share of its score."""
    scores = [score for _, score in candidates.found.get(Signal.LEXICAL, ())][:2]
    if not scores or scores[0] <= 0:
        return 0.0
    return 1 - scores[1] / scores[0] if len(scores) > 1 else 1.0
