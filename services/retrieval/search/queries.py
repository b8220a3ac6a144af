"""The query's vector, or the knowledge that none is to be had for now."""

import logging

from services.retrieval import metrics
from services.retrieval.embedder import Embedder
from services.retrieval.errors import EmbedderNotServed, EmbedderTimeout, EmbedderUnavailable
from services.retrieval.model import Vector
from services.runtime.breaker import Breaker
from services.runtime.errors import DeadlineExceeded

log = logging.getLogger(__name__)


class Queries:
    """Embeds queries behind a breaker."""

    def __init__(self, embedder: Embedder, breaker: Breaker) -> None:
        self._embedder = embedder
        self._breaker = breaker

    @property
    def gone(self) -> bool:
        """Whether the embedder is taken to be gone."""
        return self._breaker.open

    async def vector(self, query: str) -> Vector:
        """The query's unit vector. Raises EmbedderUnavailable, DeadlineExceeded."""
        with metrics.embed_seconds("query"):
            return await self._embedder.embed_query(query)

    async def vector_or_none(self, query: str) -> Vector | None:
        """The query's unit vector; None while the embedder does not answer, at once once that is known."""
        tried = self._breaker.open
        if not self._breaker.admits():
            return None
        try:
            vector = await self.vector(query)
        except (EmbedderUnavailable, EmbedderNotServed, EmbedderTimeout) as error:
            # Those that were under way when it went fail together, and count once.
            if tried or not self._breaker.open:
                self._breaker.failed()
                why = {"embedder": self._embedder.spec.name, "reason": error.reason, "error": error.message}
                log.warning("the embedder is gone: searches go by words alone", extra=why)
            return None
        except DeadlineExceeded:
            return None  # its caller was in a hurry, which says nothing of the embedder to others
        if self._breaker.open:
            log.info("the embedder is back")
        self._breaker.succeeded()
        return vector
