"""The embedders that Triton can serve: what each is called there, what it speaks, and what its cosines are worth."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.runtime.language.detect import UNKNOWN
from services.runtime.language.script import Script, latin_share

WIDTH = 384
"""Of the vectors of all of them."""


@dataclass(frozen=True, slots=True)
class EmbedderSpec:
    """An embedding model, WIDTH wide.

    name: as collections have it on record. queries, passages: Triton's models of it. languages: those that it speaks,
    ISO 639-1; empty for all. scale, offsets: with a query of that script its cosine c is worth scale * (c - offset) of
    all-MiniLM-L6-v2's, by which signals are weighed and answers declined. unrelated: worth less, a passage has nothing
    to do with a query in one of the languages. lexical: how much BM25 counts beside it, of what it counts beside
    all-MiniLM-L6-v2.
    """

    name: str
    queries: str
    passages: str
    languages: frozenset[str] = frozenset()
    scale: float = 1.0
    offsets: Mapping[Script, float] = field(default_factory=dict)
    unrelated: float = 0.25
    lexical: float = 1.0

    def reads(self, language: str, latin: bool) -> bool:
        """Whether it reads the language. Of Latin letters in no certain language, such as names, it does."""
        return not self.languages or language in self.languages or (latin and language == UNKNOWN)

    def worth(self, cosine: float, script: Script) -> float:
        """What a cosine with a query of that script would be of all-MiniLM-L6-v2's, 1 at most."""
        return min(1.0, self.scale * (cosine - self.offsets.get(script, 0.0)))

    def trust(self, text: str) -> float:
        """0 to 1, how far its cosines can be trusted with a text of that language."""
        return latin_share(text) if self.languages else 1.0


# On XQuAD no English passage that answers has a lower cosine than 0.25 and no word of the question.
MINILM = EmbedderSpec("all-minilm-l6-v2", "embed", "embed_passages", frozenset({"en"}))
# Its cosines lie close together and high, and higher between Chinese texts than between Arabic ones. Fitted on half of
# XQuAD's articles in six languages.
E5 = EmbedderSpec(
    "multilingual-e5-small", "embed_e5", "embed_e5_passages",
    scale=4.0, offsets={Script.LATIN: 0.72, Script.CJK: 0.76, Script.OTHER: 0.70}, lexical=1 / 3,
)  # fmt: skip
EMBEDDERS: Mapping[str, EmbedderSpec] = {spec.name: spec for spec in (MINILM, E5)}
