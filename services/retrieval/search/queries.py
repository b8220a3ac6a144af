"""The query's vector, or the knowledge that none is to be had for now."""

from functools import partial

from services.retrieval import metrics
from services.retrieval.embedder import Embedder
from services.retrieval.model import Vector
from services.retrieval.search.optional import Optional
from services.runtime.breaker import Breaker


class Queries:
    """Embeds queries behind a breaker."""

    def __init__(self, embedder: Embedder, breaker: Breaker) -> None:
        self._embedder = embedder
        self._model: Optional[Vector] = Optional(
            "the embedder", embedder.spec.name, "searches go by words alone", breaker
        )

    @property
    def gone(self) -> bool:
        """Whether the embedder is taken to be gone."""
        return self._model.gone

    async def vector(self, query: str) -> Vector:
        """The query's unit vector. Raises EmbedderUnavailable, DeadlineExceeded."""
        with metrics.embed_seconds("query"):
            return await self._embedder.embed_query(query)

    async def vector_or_none(self, query: str) -> Vector | None:
        """The query's unit vector; None while the embedder does not answer, at once once that is known."""
        return await self._model.result_or_none(partial(self.vector, query))
