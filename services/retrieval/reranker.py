"""What reads passages again, with the query."""

from collections.abc import Sequence
from typing import Protocol

from services.runtime.reranker import RerankerNotServed


class Reranker(Protocol):
    """A reranker. Raises RerankerUnavailable or RerankerTimeout where it does not answer, RerankerNotServed where the
    model server has none."""

    @property
    def languages(self) -> frozenset[str]:
        """Those that it reads, ISO 639-1; empty for all."""

    async def scores(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """How well each text answers the query, 0 to 1, in order."""


class NoReranker:
    """The Reranker of a service that has none."""

    languages: frozenset[str] = frozenset()

    async def scores(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        raise RerankerNotServed


NO_RERANKER = NoReranker()
