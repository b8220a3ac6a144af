"""Where vectors come from."""

from collections.abc import Sequence
from typing import Protocol

from services.retrieval.model import Sentences, Span, Vector
from services.runtime.embedders import EmbedderSpec


class Embedder(Protocol):
    """An embedding model. Raises EmbedderUnavailable where it does not answer, EmbedderNotServed where the model server
    has not loaded it."""

    @property
    def spec(self) -> EmbedderSpec:
        """What it is called, and what it speaks."""

    async def embed_query(self, text: str) -> Vector:
        """A query's unit vector, float32 [384], at once."""

    async def embed_passages(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> Sequence[tuple[Vector, Sentences]]:
        """Each passage's unit vector and its sentences' vectors, behind any query that waits."""

    async def ready(self) -> bool:
        """Whether the model is loaded."""
