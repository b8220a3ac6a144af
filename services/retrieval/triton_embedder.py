"""An embedder behind its two models on Triton: one for queries, one for passages."""

import asyncio
from collections.abc import Iterable, Sequence

from services.retrieval.errors import EmbedderNotServed, EmbedderTimeout, EmbedderUnavailable
from services.retrieval.model import Sentences, Span, Vector
from services.retrieval.triton_calls import ModelErrors, translated, within
from services.runtime.embedders import MINILM, EmbedderSpec
from services.runtime.errors import DeadlineExceeded
from services.runtime.triton import TritonClient

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
        self._errors = ModelErrors(
            "the embedding model", EmbedderUnavailable, EmbedderTimeout, lambda: EmbedderNotServed(spec.name)
        )

    async def embed_query(self, text: str) -> Vector:
        found = await within(
            self._query_seconds,
            lambda timeout: self._client.embed([text], timeout=timeout, embedder=self.spec),
            self._errors,
        )
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
        found = await translated(
            lambda: self._client.embed_passages(texts, spans, timeout=self._seconds, embedder=self.spec), self._errors
        )
        return (
            (vector, Sentences(own, sentences.tobytes()))
            for vector, own, sentences in zip(found.vectors, spans, found.sentences, strict=True)
        )

    async def ready(self) -> bool:
        return await self._client.ready([self.spec.queries, self.spec.passages])
