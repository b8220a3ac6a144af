"""Where vectors come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.retrieval.model import Sentences, Span, Vector
from services.runtime.language.detect import UNKNOWN


@dataclass(frozen=True, slots=True)
class EmbedderProfile:
    """What a search must know of an embedder. `languages`: those it reads, by their ISO 639-1 codes; None for all.
    `unrelated`: the cosine below which a passage in them has nothing to do with the query."""

    languages: frozenset[str] | None
    unrelated: float

    def reads(self, language: str, latin: bool) -> bool:
        """Whether it reads the language. Of Latin letters in no certain language, such as names, it does."""
        return self.languages is None or language in self.languages or (latin and language == UNKNOWN)


# On XQuAD no English passage that answers has a lower cosine and no word of the question.
MINILM = EmbedderProfile(frozenset({"en"}), unrelated=0.25)


class Embedder(Protocol):
    """An embedding model. Raises EmbedderUnavailable where it does not answer."""

    async def embed_query(self, text: str) -> Vector:
        """A query's unit vector, float32 [384], at once."""

    async def embed_passages(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> Sequence[tuple[Vector, Sentences]]:
        """Each passage's unit vector and its sentences' vectors, behind any query that waits."""

    async def ready(self) -> bool:
        """Whether the model is loaded."""
