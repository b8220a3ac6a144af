"""Late interaction: each wordpiece of a query meets the nearest one of a text, by an embedder's token states.

A text's score is the mean of these cosines over the query's wordpieces, without the markers. Each counts the same:
weighed by rarity, in the vocabulary or among the passages, they put no more of XQuAD's paragraphs first.
"""

from collections.abc import Mapping, Sequence

from services.models.encoder import Encoder, TokenStates, unit
from services.models.rerank.pairs import MOST_QUERY_TOKENS, Pair, Scored


class LateInteraction:
    """A Reranker of the embedder's own token states: it needs no weights of its own."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def score(self, pairs: Sequence[Pair]) -> list[Scored]:
        texts = dict.fromkeys((pair.query, MOST_QUERY_TOKENS) for pair in pairs)
        texts |= dict.fromkeys((pair.text, pair.text_tokens) for pair in pairs)
        states = dict(zip(texts, self._encoder.token_states(list(texts)), strict=True))
        return [_scored(pair, states) for pair in pairs]


def _scored(pair: Pair, states: Mapping[tuple[str, int], TokenStates]) -> Scored:
    query, text = states[pair.query, MOST_QUERY_TOKENS], states[pair.text, pair.text_tokens]
    tokens = len(query) + len(text)
    asked, read = unit(query[1:-1]), unit(text[1:-1])
    if not len(asked) or not len(read):
        return Scored(0.0, tokens)
    nearest = (asked @ read.T).max(axis=1)
    return Scored(max(0.0, min(1.0, float(nearest.mean()))), tokens)
