"""Questions of two kinds, with vectors that tell them apart, of which a small target answers one kind."""

import hashlib

import numpy as np

from services.llm.difficulty.classifier import Classifier, Floats
from services.llm.difficulty.scored import Scored
from services.llm.difficulty.training import train
from services.runtime.embedders import MINILM, WIDTH

SMALL, LARGE = "small", "large"


def embed(texts: list[str]) -> Floats:
    """Each near the direction of its first word, the same each time."""
    rows = []
    for text in texts:
        own = _direction(text.split()[0]) + 0.5 * _direction(text)
        rows.append(own / np.linalg.norm(own))
    return np.array(rows, np.float32)


def _direction(text: str) -> Floats:
    seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")
    direction = np.random.default_rng(seed).normal(size=WIDTH).astype(np.float32)
    return direction / np.float32(np.linalg.norm(direction))


def scored(count: int = 200) -> list[Scored]:
    """Half are easy; of the hard ones the small target answers none, of all the large one answers all."""
    return [
        Scored(f"{kind} question number {number}", (float(kind == "easy"), 1.0), (1.0, 10.0))
        for number in range(count // 2)
        for kind in ("easy", "hard")
    ]


def classifier(count: int = 200) -> Classifier:
    return train(SMALL, LARGE, MINILM.name, scored(count), embed)
