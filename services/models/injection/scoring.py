"""Texts in, scores out: how the head, the embedder and the windows work together."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from services.models.injection.features import TokenWindow, windows
from services.models.injection.head import Head

Floats = npt.NDArray[np.float32]
# float32 [n, 384], length one, of n texts.
Embed = Callable[[Sequence[str]], Floats]
# Windows of one text that are embedded: those that look worst by their words, and its first.
EMBEDDED = 16
# What a window looks worse by than it is, in logits, by language: the embedder reads English, the head learned of some
# others a little, of the rest nothing.
DOUBTS = {"en": 0.0, "zh": 0.0, "de": 1.0, "fr": 1.0, "es": 1.0}
DOUBT = 2.0


class Scorer:
    """Scores texts. A text's score is that of its worst window."""

    def __init__(self, embed: Embed, head: Head) -> None:
        self._embed = embed
        self._head = head

    def scores(self, texts: Sequence[str]) -> Floats:
        """float32 [texts], 0 for harmless to 1 for an attack; an empty text has 0."""
        chosen = [self._chosen(windows(text)) for text in texts]
        flat = [window.text for each, _ in chosen for window in each]
        vectors = self._embed(flat) if flat else np.empty((0, 1), dtype=np.float32)
        scores = np.zeros(len(texts), dtype=np.float32)
        at = 0
        for number, (each, surface) in enumerate(chosen):
            if each:
                doubts = np.array([DOUBTS.get(window.language, DOUBT) for window in each], dtype=np.float32)
                logits = surface + self._head.depth(vectors[at : at + len(each)]) - doubts
                scores[number] = 1 / (1 + np.exp(-np.clip(logits.max(), -30, 30)))
                at += len(each)
        return scores

    def _chosen(self, found: list[TokenWindow]) -> tuple[list[TokenWindow], Floats]:
        surface = self._head.surface(found) if found else np.empty(0, dtype=np.float32)
        if len(found) <= EMBEDDED:
            return found, surface
        worst = sorted({0, *np.argsort(-surface, kind="stable")[: EMBEDDED - 1].tolist()})
        return [found[number] for number in worst], surface[worst]
