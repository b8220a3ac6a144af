"""Passages with what they are searched by: their vectors, by the embedder of where they go, and their words."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from services.retrieval import metrics
from services.retrieval.errors import EmbedderUnknown
from services.retrieval.ingest.batches import Batches
from services.retrieval.language.fields import head_of, title_of
from services.retrieval.language.words import passage_vector
from services.retrieval.model import Passage, PassageRecord, Sentences, Span
from services.runtime.fairness import Owner


class PassageVectors:
    """Makes records of passages, each embedder's in batches of their own."""

    def __init__(self, batches: Mapping[str, Batches]) -> None:
        self._batches = batches

    async def records(
        self, embedder: str, passages: Sequence[Passage], sentences: Sequence[Sentences], owner: Owner
    ) -> list[PassageRecord]:
        """Each passage's record; `sentences` are its own, whose vectors are made anew.

        Raises EmbedderUnavailable, EmbedderNotServed, EmbedderUnknown.
        """
        if embedder not in self._batches:
            raise EmbedderUnknown(embedder, self._batches)
        heads = [head_of(passage) for passage in passages]
        texts = [head + passage.text for head, passage in zip(heads, passages, strict=True)]
        spans = [_moved(own.spans, len(head)) for head, own in zip(heads, sentences, strict=True)]
        with metrics.embed_seconds("passages"):
            embedded = await self._batches[embedder].embed(texts, spans, owner)
        return [
            PassageRecord(
                passage=passage,
                dense=dense,
                lexical=passage_vector(passage.text, "\n".join((title_of(passage), *passage.headings))),
                sentences=replace(own, vectors=made.vectors),
            )
            for passage, own, (dense, made) in zip(passages, sentences, embedded, strict=True)
        ]

    async def aclose(self) -> None:
        for batches in self._batches.values():
            await batches.aclose()


def _moved(spans: Sequence[Span], by: int) -> Sequence[Span]:
    return [(start + by, end + by) for start, end in spans] if by else spans
