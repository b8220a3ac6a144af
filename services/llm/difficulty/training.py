"""Learns from scored questions how well two targets answer. The same scores give the same classifier."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.llm.difficulty.classifier import (
    SURELY_LARGE,
    UNSCORED,
    Classifier,
    Floats,
    logit,
    neighbours,
    price_of,
    sigmoid,
)
from services.llm.difficulty.figures import figures_of
from services.llm.difficulty.scored import BadScores, Scored, costs_of, hashes_of, scores_of
from services.runtime.embedders import WIDTH

FEWEST, FEWEST_BOTH, FEWEST_LENGTHS = 50, 30, 5
MOST = 20_000
KEPT = 5_000
"""Questions whose vectors the classifier keeps to find neighbours among."""
FOLDS = 5
STEPS, MOST_STEPS = 30, 300
RIDGES = (10.0, 50.0, 250.0, 1000.0)
MIXES = (0.0, 0.5, 0.75, 1.0)
ODD = 1.0
"""Percent of the questions learned from that would count as far, and as many as ones on which it disagrees."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """Of questions whose scores were not learned from: what the regression and the neighbours expect, and how near the
    nearest was."""

    linear: Floats
    near: Floats
    nearest: Floats


def rows_of(questions: Sequence[str]) -> Floats:
    """[n, figures]."""
    return np.array([figures_of(question).row for question in questions], np.float32)


def train(
    small: str, large: str, embedder: str, scored: Sequence[Scored], embed: Callable[[list[str]], Floats]
) -> Classifier:
    """From the questions that are not held out. `embed` gives their vectors [n, 384]. Raises BadScores for too few."""
    ours = (one for one in scored if not one.held_out)
    learned = sorted(ours, key=lambda one: (not one.both, one.hash))[:MOST]
    _check(learned, small, large)
    questions = [one.question for one in learned]
    vectors, rows, scores = embed(questions), rows_of(questions), scores_of(learned)
    x = np.hstack([vectors, rows]).astype(np.float64)
    chosen, ridge = _best_ridge(x, vectors, scores)
    mix = min(MIXES, key=lambda mix: _loss(_mixed(chosen, mix), scores))
    mixed = _mixed(chosen, mix)
    calibration = np.array([_line(mixed[:, target], scores[:, target]) for target in range(2)], np.float32)
    weights, bias = _regress_both(x, scores, ridge)
    gap = np.abs((chosen.linear[:, 1] - chosen.linear[:, 0]) - (chosen.near[:, 1] - chosen.near[:, 0]))
    floor, apart = float(np.percentile(chosen.nearest, ODD)), float(np.percentile(gap, 100 - ODD))
    expected = sigmoid(logit(mixed) * calibration[:, 0] + calibration[:, 1])
    costs = costs_of(learned)
    price = _price(rows, costs[:, 1] - costs[:, 0])
    worth = np.clip(expected[:, 1] - expected[:, 0], 0, 1) / price_of(rows, price)
    worth[(chosen.nearest < floor) | (gap > apart)] = SURELY_LARGE
    by_heuristic = np.array([figures_of(question).difficulty for question in questions], np.float32)
    curve = np.column_stack([worth, by_heuristic, costs]).astype(np.float32)
    return Classifier(
        small, large, embedder, vectors[:KEPT].astype(np.float16).astype(np.float32), scores[:KEPT], weights, bias, mix,
        calibration, price, floor, apart, curve, hashes_of(learned),
    )  # fmt: skip


def _check(learned: Sequence[Scored], small: str, large: str) -> None:
    """Raises BadScores."""
    for target, name in enumerate((small, large)):
        known = sum(one.scores[target] is not None for one in learned)
        if known < FEWEST:
            raise BadScores(
                f"{known} questions to learn from are scored for {name!r}, apart from the fifth that is held out: it "
                f"takes {FEWEST} at least; until there are, the heuristic judges (leave `model` out)"
            )
    both = sum(one.both for one in learned)
    if both < FEWEST_BOTH:
        raise BadScores(f"{both} questions to learn from are scored for both targets: it takes {FEWEST_BOTH} at least")


def _best_ridge(x: npt.NDArray[np.float64], vectors: Floats, scores: Floats) -> tuple[_Judged, float]:
    """Each question judged by what was learned of others, with the ridge that does best."""
    fold = np.arange(len(x)) % FOLDS  # their order says nothing of them
    near, nearest = np.empty((len(x), 2), np.float32), np.empty(len(x), np.float32)
    for number in range(FOLDS):
        own = fold == number
        cosines = vectors[own] @ vectors[~own].T
        near[own], nearest[own] = neighbours(cosines, scores[~own]), cosines.max(axis=1)
    found = []
    for ridge in RIDGES:
        linear = np.empty((len(x), 2), np.float32)
        for number in range(FOLDS):
            own = fold == number
            weights, bias = _regress_both(x[~own], scores[~own], ridge)
            linear[own] = sigmoid(x[own] @ weights.T + bias)
        found.append((_Judged(linear, near, nearest), ridge))
    return min(found, key=lambda one: _loss(one[0].linear, scores))


def _price(rows: Floats, more: Floats) -> Floats:
    """Offset and slope by the length of what the large target's answer costs `more` [n], 1 on average. The same for all
    where it costs no more, or no more for longer questions."""
    average = float(more.mean())
    if average <= 0 or len(set(rows[:, 0].tolist())) < FEWEST_LENGTHS:
        return np.array([1, 0], np.float32)
    slope, offset = np.polyfit(np.exp2(rows[:, 0]), more / average, 1)
    return np.array([offset, slope] if slope > 0 else [1, 0], np.float32)


def _mixed(judged: _Judged, mix: float) -> Floats:
    mixed: Floats = (mix * judged.linear + (1 - mix) * judged.near).astype(np.float32)
    return mixed


def _loss(expected: Floats, scores: Floats) -> float:
    """The average log loss, where there is a score."""
    known = scores != UNSCORED
    share = np.clip(expected[known], 1e-4, 1 - 1e-4)
    return float(-(scores[known] * np.log(share) + (1 - scores[known]) * np.log(1 - share)).mean())


def _regress_both(x: npt.NDArray[np.float64], scores: Floats, ridge: float) -> tuple[Floats, Floats]:
    """Weights [2, features] and bias [2], one regression a target."""
    both = [
        _regress(x[known], scores[known, target], ridge)
        for target in range(2)
        for known in [scores[:, target] != UNSCORED]
    ]
    return np.array([weights for weights, _ in both], np.float32), np.array([bias for _, bias in both], np.float32)


def _regress(x: npt.NDArray[np.float64], y: Floats, ridge: float) -> tuple[npt.NDArray[np.float64], float]:
    """A logistic regression of scores from 0 to 1 with a ridge, of features as they are: by Newton's steps with the
    steepest curve that there can be (Böhning), which is inverted once."""
    mean = x.mean(axis=0)
    # All numbers of an embedding have one scale; each figure has its own.
    scale = np.maximum(x.std(axis=0), 1e-3)
    scale[:WIDTH] = np.maximum(x[:, :WIDTH].std(), 1e-3)
    design = np.hstack([(x - mean) / scale, np.ones((len(x), 1))])
    penalty = np.diag([ridge] * WIDTH + [1.0] * (x.shape[1] - WIDTH) + [1e-3])
    weights = np.zeros(design.shape[1])
    inverse = np.linalg.inv(design.T @ design / 4 + penalty)
    for _ in range(MOST_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        step = inverse @ (design.T @ (chance - y) + penalty @ weights)
        weights -= step
        if np.abs(step).max() < 1e-4:
            break
    own = weights[:-1] / scale
    return own, float(weights[-1] - own @ mean)


def _line(expected: Floats, scores: Floats) -> tuple[float, float]:
    """Slope and offset by which the log-odds of what was expected come to what was scored."""
    known = scores != UNSCORED
    odds, y = logit(expected[known]).astype(np.float64), scores[known]
    design, weights = np.column_stack([odds, np.ones(len(odds))]), np.array([1.0, 0.0])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        # Drawn a little to a slope of one, which leaves all as it is.
        slope = design.T @ (chance - y) + (weights - [1.0, 0.0])
        curve = (design * np.maximum(chance * (1 - chance), 1e-4)[:, None]).T @ design + np.eye(2)
        weights -= np.linalg.solve(curve, slope)
    return float(weights[0]), float(weights[1])
