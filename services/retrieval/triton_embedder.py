"""An embedder behind its two models on Triton: one for queries, one for passages."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

import grpc

from services.retrieval.errors import EmbedderNotServed, EmbedderTimeout, EmbedderUnavailable
from services.retrieval.model import Sentences, Span, Vector
from services.runtime.call import current_or_none
from services.runtime.embedders import MINILM, EmbedderSpec
from services.runtime.errors import DeadlineExceeded
from services.runtime.triton import TritonClient

log = logging.getLogger(__name__)

T = TypeVar("T")

# In Triton's words for a model that it has not been told to load; of one that it loads this moment it says "not ready".
UNKNOWN_MODEL = "unknown model"
PASSAGE_TRIES = 6
FIRST_PAUSE = 0.1


class TritonEmbedder:
    """An Embedder. A passages' call has `seconds` and is tried again for some more, as ingestion can wait: with half as
    many where that was too little time. A query's
    has `query_seconds`, half of what remains of its deadline at most: the store is to be asked too."""

    def __init__(self, client: TritonClient, seconds: float, query_seconds: float, spec: EmbedderSpec = MINILM) -> None:
        self.spec = spec
        self._client = client
        self._seconds = seconds
        self._query_seconds = query_seconds

    async def embed_query(self, text: str) -> Vector:
        call = current_or_none()
        timeout = min(self._query_seconds, call.remaining / 2) if call else self._query_seconds
        if timeout <= 0:
            raise DeadlineExceeded("the deadline passed before the query was embedded")
        try:
            found = await self._translated(lambda: self._client.embed([text], timeout=timeout, embedder=self.spec))
        except DeadlineExceeded as error:
            if timeout < self._query_seconds:
                raise
            raise EmbedderTimeout(error.message) from error
        vector: Vector = found.vectors[0]
        return vector

    async def embed_passages(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> Sequence[tuple[Vector, Sentences]]:
        done: list[tuple[Vector, Sentences]] = []
        size, failures = len(texts), 0
        while len(done) < len(texts):
            part = slice(len(done), len(done) + size)
            try:
                done += await self._passages(texts[part], spans[part])
                failures = 0
                continue
            except DeadlineExceeded as error:
                size = max(1, size // 2)
                failure = EmbedderUnavailable(error.message)
            except EmbedderUnavailable as error:
                failure = error
            failures += 1
            if failures == PASSAGE_TRIES:
                raise failure
            await asyncio.sleep(FIRST_PAUSE * 2 ** (failures - 1))
        return done

    async def _passages(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> Iterable[tuple[Vector, Sentences]]:
        """Raises DeadlineExceeded, EmbedderUnavailable."""
        found = await self._translated(
            lambda: self._client.embed_passages(texts, spans, timeout=self._seconds, embedder=self.spec)
        )
        return (
            (vector, Sentences(own, sentences.tobytes()))
            for vector, own, sentences in zip(found.vectors, spans, found.sentences, strict=True)
        )

    async def ready(self) -> bool:
        return await self._client.ready([self.spec.queries, self.spec.passages])

    async def _translated(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise DeadlineExceeded("the embedding model did not answer in time") from error
            if error.code() == grpc.StatusCode.CANCELLED:
                raise
            if UNKNOWN_MODEL in (error.details() or ""):
                raise EmbedderNotServed(self.spec.name) from error
            log.warning("the embedding model failed", extra={"code": error.code().name, "error": error.details()})
            raise EmbedderUnavailable("the embedding model does not answer") from error
