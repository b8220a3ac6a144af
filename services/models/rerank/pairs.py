"""What every reranker reads, and what it returns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.runtime.reranker import RERANK_TOKENS

MOST_QUERY_TOKENS = 128


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and a text, of which `most` wordpieces are read, markers included; RERANK_TOKENS and no more where it is
    0."""

    query: str
    text: str
    most: int = 0

    @property
    def text_tokens(self) -> int:
        """How many wordpieces of the text are read at most."""
        return min(self.most, RERANK_TOKENS) if self.most > 0 else RERANK_TOKENS


@dataclass(frozen=True, slots=True)
class Scored:
    """score: 0 to 1, comparable between the texts of one query. tokens: wordpieces read, of the text and the query."""

    score: float
    tokens: int


class Reranker(Protocol):
    """Not safe for use by several threads at once."""

    def score(self, pairs: Sequence[Pair]) -> list[Scored]:
        """Each pair's score, in order."""
