"""Fits the verifier of the semantic cache on the part of the pairs that is for it, and writes its weights.

A logistic regression with a ridge, by Newton's steps. A language's floor is the least score at which no more than
MOST_FALSE of those let through are near misses, where each pair is scored by weights that never saw its question.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from bench.cache.pairs import FITTED, Pair, pairs
from gateway.cache.semantic.facts import conflict, facts_of
from gateway.cache.semantic.pairs import NAMES, figures
from gateway.cache.semantic.verifier import SHIPPED
from services.models import embedders
from services.models.encoder import Encoder
from services.runtime.embedders import E5, MINILM

SPEAKS: Mapping[str, tuple[str, ...]] = {MINILM.name: ("en",), E5.name: ("en", "zh")}
MOST_FALSE = 0.0075
RIDGE = 1.0
STEPS = 50
FOLDS = 20
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def vectors(encoder: Encoder, texts: Iterable[str]) -> dict[str, npt.NDArray[np.float32]]:
    """Of each text once."""
    wanted = list(dict.fromkeys(texts))
    found: dict[str, npt.NDArray[np.float32]] = {}
    for start in range(0, len(wanted), 64):
        batch = wanted[start : start + 64]
        found |= {text: each.vector for text, each in zip(batch, encoder.encode(batch), strict=True)}
    return found


def rows(encoder: Encoder, wanted: Sequence[Pair]) -> Floats:
    """The figures of pairs."""
    own = vectors(encoder, (text for pair in wanted for text in pair[:2]))
    found = [
        figures(facts_of(pair.one), facts_of(pair.other), float(own[pair.one] @ own[pair.other])) for pair in wanted
    ]
    return np.array(found)


def regress(x: Floats, y: Flags) -> tuple[Floats, float]:
    """The weights and the bias, of figures as they are."""
    mean, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-9)
    design = np.hstack([(x - mean) / scale, np.ones((len(x), 1))])
    ridge = np.diag([RIDGE] * x.shape[1] + [0.0])
    weights = np.zeros(design.shape[1])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-design @ weights))
        slope = design.T @ (chance - y) + ridge @ weights
        curve = (design * (chance * (1 - chance))[:, None]).T @ design + ridge
        weights -= np.linalg.solve(curve, slope)
    own = weights[:-1] / scale
    return own, float(weights[-1] - own @ mean)


def scores(x: Floats, weights: Floats, bias: float) -> Floats:
    found: Floats = 1 / (1 + np.exp(-(x @ weights + bias)))
    return found


def fit(embedder: str) -> dict[str, object]:
    """The weights of an embedder's verifier, and the least score of each language."""
    encoder = embedders.load(embedder, "query")
    listed = [(language, pair) for language in SPEAKS[embedder] for pair in pairs(FITTED, language)]
    kept = [(language, pair) for language, pair in listed if not conflict(facts_of(pair.one), facts_of(pair.other))]
    x, y = rows(encoder, [pair for _, pair in kept]), np.array([pair.same for _, pair in kept])
    fold = np.array([pair.group % FOLDS for _, pair in kept])
    apart = np.zeros(len(kept))
    for number in range(FOLDS):
        apart[fold == number] = scores(x[fold == number], *regress(x[fold != number], y[fold != number]))
    weights, bias = regress(x, y)
    floors = {}
    for language in SPEAKS[embedder]:
        own = np.array([each == language for each, _ in kept])
        floors[language] = floor = _floor(apart[own], y[own])
        wanted = sum(each == language and pair.same for each, pair in listed)
        share = int((apart[own & y] >= floor).sum()) / wanted
        sys.stdout.write(f"{embedder}, {language}: floor {floor}, {share:.3f} of the paraphrases over it\n")
    return {"weights": [round(float(each), 5) for each in weights], "bias": round(bias, 5), "floors": floors}


def _floor(own: Floats, same: Flags) -> float:
    """The least score from which on no more than MOST_FALSE of those let through are near misses."""
    order = np.argsort(-own)
    false = np.cumsum(~same[order])
    good = np.flatnonzero(false <= MOST_FALSE * np.arange(1, len(order) + 1))
    return round(float(own[order][good[-1]]), 4) if len(good) else 1.1


if __name__ == "__main__":
    written = {"names": list(NAMES), "embedders": {name: fit(name) for name in SPEAKS}}
    SHIPPED.write_text(json.dumps(written, indent=1) + "\n", "utf-8")
