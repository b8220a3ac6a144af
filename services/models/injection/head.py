"""The head: a window's embedding, n-grams and signs in, one logit out. Plain numpy, for the weights are few."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from services.models.injection.features import TokenWindow

FILE = Path(__file__).parent / "head.safetensors"
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Head:
    """grams: float32 [BUCKETS]. signs: [SIGNS]. hidden: [width, 384], with hidden_bias [width] and out [width], works
    on the embedding. bias: [1]."""

    grams: Floats
    signs: Floats
    hidden: Floats
    hidden_bias: Floats
    out: Floats
    bias: Floats

    @classmethod
    def load(cls, file: Path = FILE) -> "Head":
        """The trained head."""
        return cls(**load_file(file))

    def surface(self, windows: Sequence[TokenWindow]) -> Floats:
        """The part of the logits [windows] that needs no embedding."""
        made = [
            self.grams[one.grams].sum() / np.sqrt(max(len(one.grams), 1)) + self.signs @ one.signs for one in windows
        ]
        return np.array(made, dtype=np.float32) + self.bias

    def depth(self, vectors: Floats) -> Floats:
        """The part that does: of embeddings [windows, 384]."""
        hidden = np.maximum(vectors @ self.hidden.T + self.hidden_bias, 0)
        logits: Floats = hidden @ self.out
        return logits
