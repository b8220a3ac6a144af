"""What the scored calls of a tenant have taught: how well either target is expected to answer a question.

Its file holds numbers and names, and nothing that runs.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from services.llm.difficulty.figures import NAMES
from services.runtime.embedders import EMBEDDERS, WIDTH
from services.runtime.file_faults import why

Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.uint64]
FORM = "headworks-difficulty/1"
NEIGHBOURS = 10
SHARPNESS = 10.0
"""How much more a neighbour counts that is nearer: e to so many times the difference of their cosines."""
UNSCORED = -1.0
DEFAULT_COST = 0.5
"""What answers may cost, of what the large target's would, where nothing else is said."""
MOST_WORTH, SURELY_LARGE = 10.0, 100.0
"""The most that asking the large target may be worth; and, on a curve, what it is where the classifier abstains."""
_SHAPES = {
    "vectors": ("questions", WIDTH), "scores": ("questions", 2), "weights": (2, WIDTH + len(NAMES)), "bias": (2,),
    "calibration": (2, 2), "price": (2,), "curve": ("curve", 4), "asked": ("asked",),
}  # fmt: skip


class BadClassifier(ValueError):
    """The file is none that a route can go by; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of n questions: `scores` [n, 2] that the small and the large target are expected to get, 0 to 1; `price` [n],
    what the large one's answer costs more, 1 on average; `nearest` [n], the cosine of the most alike question known;
    `gap` [n], how far regression and neighbours are apart."""

    scores: Floats
    price: Floats
    nearest: Floats
    gap: Floats

    @property
    def difficulty(self) -> Floats:
        """[n], what the large one is expected to score more, 0 to 1; 1 where that is no number."""
        return np.nan_to_num(np.clip(self.scores[:, 1] - self.scores[:, 0], 0, 1), nan=1.0)

    @property
    def worth(self) -> Floats:
        """[n], the difficulty for its price: where money is bounded, the large target answers where that is most."""
        return self.difficulty / self.price


@dataclass(frozen=True, slots=True)
class Classifier:
    """Two regressions over embedding and figures, one a target, mixed with what the neighbours scored, and calibrated.

    `vectors` [n, 384] and `scores` [n, 2] of the questions known, UNSCORED where a target was not. `weights`
    [2, 384 + figures], `bias` [2]. `mix`: how much the regression counts beside the neighbours. `calibration` [2, 2]:
    slope and offset of the mixture's log-odds. `price` [2]: offset and slope, by a question's length, of what the
    large target's answer costs more than the small one's, 1 on average. It abstains where nothing known is nearer than
    `floor`, or regression and neighbours are further apart than `apart`. `curve` [m, 4]: of questions judged without
    having been learned, the worth by the classifier, the difficulty by the heuristic, and what the small and the large
    answer cost. `asked`: hashes of the questions that it has learned.
    """

    small: str
    large: str
    embedder: str
    vectors: Floats
    scores: Floats
    weights: Floats
    bias: Floats
    mix: float
    calibration: Floats
    price: Floats
    floor: float
    apart: float
    curve: Floats
    asked: Counts

    def estimate(self, vectors: Floats, rows: Floats) -> Estimate:
        """Of n questions, by their `vectors` [n, 384] and the `rows` [n, figures] of their figures."""
        linear = sigmoid(np.hstack([vectors, rows]) @ self.weights.T + self.bias)
        cosines = vectors @ self.vectors.T
        near = neighbours(cosines, self.scores)
        mixed = self.mix * linear + (1 - self.mix) * near
        scores = sigmoid(logit(mixed) * self.calibration[:, 0] + self.calibration[:, 1])
        gap = np.abs((linear[:, 1] - linear[:, 0]) - (near[:, 1] - near[:, 0]))
        return Estimate(scores, price_of(rows, self.price), cosines.max(axis=1), gap)

    def abstains(self, estimate: Estimate) -> list[str]:
        """Of each question: "far", "disagree", or nothing where the difficulty is gone by. What is no number is far."""
        near, agrees = estimate.nearest >= self.floor, estimate.gap <= self.apart
        return [("" if one else "disagree") if other else "far" for one, other in zip(agrees, near, strict=True)]

    def threshold(self, cost: float, *, heuristic: bool = False) -> float:
        """The least worth, or difficulty by the heuristic, over which the large target may be asked, so that answers
        cost no more than this share of what the large one's would."""
        return threshold_of(self.curve[:, 1 if heuristic else 0], self.curve[:, 2:], cost)

    def to_bytes(self) -> bytes:
        """The file."""
        about = {"small": self.small, "large": self.large, "embedder": self.embedder, "figures": list(NAMES),
                 "mix": self.mix, "floor": self.floor, "apart": self.apart}  # fmt: skip
        tensors = {name: getattr(self, name) for name in _SHAPES} | {"vectors": self.vectors.astype(np.float16)}
        return save(tensors, {"form": FORM, "about": json.dumps(about)})


def price_of(rows: Floats, price: Floats) -> Floats:
    """[n], by the first of the figures in `rows`, the logarithm of the length."""
    found: Floats = np.maximum(price[0] + price[1] * np.exp2(rows[:, 0]), 1 / MOST_WORTH).astype(np.float32)
    return found


def threshold_of(difficulty: Floats, costs: Floats, cost: float) -> float:
    """See Classifier.threshold; `costs` [n, 2] of the small and the large answer."""
    order = np.argsort(-difficulty, kind="stable")
    ordered, own = difficulty[order].astype(np.float64), costs[order].astype(np.float64)
    spent = own[:, 0].sum() + np.concatenate([[0.0], np.cumsum(own[:, 1] - own[:, 0])])
    # After the first k go to the large one, the next has another difficulty: no question is split from its like.
    cuts = [k for k in range(len(ordered) + 1) if k in (0, len(ordered)) or ordered[k] < ordered[k - 1]]
    most = cost * own[:, 1].sum()
    fitting = [k for k in cuts if spent[k] <= most + 1e-9]
    cut = max(fitting, default=0)
    if cut == len(ordered):
        return -1.0
    return min(float(ordered[cut]), MOST_WORTH)


def neighbours(cosines: Floats, scores: Floats) -> Floats:
    """[n, 2]: what the NEIGHBOURS most alike of the questions with `scores` [m, 2] got, by their `cosines` [n, m]."""
    found = np.empty((len(cosines), 2), np.float32)
    for target in range(2):
        known = np.flatnonzero(scores[:, target] != UNSCORED)
        own, got = cosines[:, known], scores[known, target]
        most = min(NEIGHBOURS, len(known))
        best = np.argpartition(-own, most - 1, axis=1)[:, :most]
        nearest = np.take_along_axis(own, best, axis=1)
        weights = np.exp(SHARPNESS * (nearest - nearest.max(axis=1, keepdims=True)))
        # The average counts as one neighbour more, so that no estimate is certain.
        found[:, target] = ((weights * got[best]).sum(axis=1) + got.mean()) / (weights.sum(axis=1) + 1)
    return found


def sigmoid(x: npt.NDArray[Any]) -> Floats:
    share: Floats = (1 / (1 + np.exp(-np.clip(x, -30, 30)))).astype(np.float32)
    return share


def logit(share: npt.NDArray[Any]) -> Floats:
    bounded = np.clip(share, 1e-4, 1 - 1e-4)
    odds: Floats = np.log(bounded / (1 - bounded)).astype(np.float32)
    return odds


def load(path: Path, small: str, large: str) -> Classifier:
    """The classifier of a file, which must have been trained for these two. Raises BadClassifier."""
    classifier = read(path)
    if (classifier.small, classifier.large) != (small, large):
        raise BadClassifier(
            f"{path} was trained for {classifier.small!r} as the small and {classifier.large!r} as the large target, "
            f"not for {small!r} and {large!r}: train one for them with `headworks routes train`"
        )
    return classifier


def read(path: Path) -> Classifier:
    """Raises BadClassifier."""
    try:
        with safe_open(path, framework="numpy") as file:
            about = _about(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in _SHAPES}
        _check(about, tensors)
        return Classifier(
            **{name: about[name] for name in ("small", "large", "embedder", "mix", "floor", "apart")},
            **{name: value.astype(np.uint64 if name == "asked" else np.float32) for name, value in tensors.items()},
        )
    except OSError as error:
        raise BadClassifier(f"{path} cannot be read: {why(error)}") from error
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BadClassifier(f"{path} is no classifier: {error}; write one with `headworks routes train`") from error


def _about(metadata: dict[str, str]) -> dict[str, Any]:
    """Raises ValueError."""
    if metadata.get("form") != FORM:
        raise ValueError(f"its form is {metadata.get('form', 'another')}, not {FORM}")
    about: dict[str, Any] = json.loads(metadata["about"])
    return about


def _check(about: dict[str, Any], tensors: dict[str, npt.NDArray[Any]]) -> None:
    """Raises ValueError."""
    if about["embedder"] not in EMBEDDERS:
        raise ValueError(f"there is no embedder {about['embedder']!r}")
    if about["figures"] != list(NAMES):
        raise ValueError("it is of other figures of a question than this release has")
    if not np.isfinite([about["mix"], about["floor"], about["apart"]]).all():
        raise ValueError("a number in it is none")
    sizes: dict[str, int] = {}
    for name, shape in _SHAPES.items():
        tensor = tensors[name]
        wanted = [sizes.setdefault(one, size) if isinstance(one, str) else one
                  for one, size in zip(shape, tensor.shape, strict=True)]  # fmt: skip
        if list(tensor.shape) != wanted or not tensor.size:
            raise ValueError(f"{name} has the shape {list(tensor.shape)}")
        if not np.isfinite(tensor.astype(np.float64)).all():
            raise ValueError(f"{name} has a number that is none")
    for target in range(2):
        if not (tensors["scores"][:, target] != UNSCORED).any():
            raise ValueError("it knows no score of one target")
