"""Passages with what they are searched by: their vectors, by the embedder of where they go, and their words."""

from collections.abc import Mapping, Sequence

from services.retrieval import metrics
from services.retrieval.ingest.batches import Batches
from services.retrieval.language.words import passage_vector
from services.retrieval.model import Passage, PassageRecord, Span
from services.runtime.fairness import Owner


class PassageVectors:
    """Makes records of passages, each embedder's in batches of their own."""

    def __init__(self, batches: Mapping[str, Batches]) -> None:
        self._batches = batches

    async def records(
        self, embedder: str, passages: Sequence[Passage], spans: Sequence[Sequence[Span]], owner: Owner
    ) -> list[PassageRecord]:
        """Each passage's record; `spans` are its sentences. Raises EmbedderUnavailable, EmbedderNotServed."""
        texts = [passage.text for passage in passages]
        with metrics.embed_seconds("passages"):
            embedded = await self._batches[embedder].embed(texts, spans, owner)
        return [
            PassageRecord(passage, dense, passage_vector(text), sentences)
            for passage, text, (dense, sentences) in zip(passages, texts, embedded, strict=True)
        ]

    async def aclose(self) -> None:
        for batches in self._batches.values():
            await batches.aclose()
