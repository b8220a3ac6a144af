"""Measures a classifier on questions that it has not learned: beside either target alone, and chance at its cost."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from services.llm.difficulty.classifier import DEFAULT_COST, Classifier, Floats
from services.llm.difficulty.figures import figures_of
from services.llm.difficulty.scored import BadScores, Scored, costs_of, hashes_of, scores_of
from services.llm.difficulty.training import rows_of

FEWEST = 10
SAMPLES = 1_000
CURVE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
BINS = 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """A way to choose: the average `score` with its interval (95 %, by bootstrap), the `cost` as a share of what the
    large target's answers cost, and the share of questions that go to the `small` one."""

    name: str
    score: float
    low: float
    high: float
    cost: float
    small: float


@dataclass(frozen=True, slots=True)
class Point:
    """What comes of a bound on the cost: the `threshold`, the `cost` there is, the `score`, that of `chance` at the
    same cost, and the share that goes to the `small` target."""

    bound: float
    threshold: float
    cost: float
    score: float
    chance: float
    small: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far what was expected of a target is from what it scored: `brier` the mean square, `ece` over BINS bins."""

    target: str
    brier: float
    ece: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`outcomes`: the classifier's first. `better`: how much more it scores than chance at equal cost, with its
    interval. `abstained`: the share of questions with which it did."""

    questions: int
    learned: int
    threshold: float
    outcomes: Sequence[Outcome]
    better: tuple[float, float, float]
    of_large: float
    curve: Sequence[Point]
    calibration: Sequence[Calibration]
    abstained: float

    @property
    def json(self) -> dict[str, Any]:
        return asdict(self)


def evaluate(
    classifier: Classifier,
    scored: Sequence[Scored],
    embed: Callable[[list[str]], Floats],
    cost: float | None,
    threshold: float | None,
) -> Evaluation:
    """On the questions with both scores that it has not learned, with the `threshold`, or the one for the `cost`.
    Raises BadScores for too few."""
    learned = np.isin(hashes_of(scored), classifier.asked)
    own = [one for one, known in zip(scored, learned, strict=True) if one.both and not known]
    if len(own) < FEWEST:
        raise BadScores(
            f"{len(own)} questions are scored for both targets and were not learned from: it takes {FEWEST} at least"
        )
    questions = [one.question for one in own]
    estimate = classifier.estimate(embed(questions), rows_of(questions))
    abstained = np.array([bool(why) for why in classifier.abstains(estimate)])
    worth = np.where(abstained, np.inf, estimate.worth)
    heuristic = np.array([figures_of(question).difficulty for question in questions])
    trial = Trial(scores_of(own).astype(np.float64), costs_of(own).astype(np.float64))
    bound = DEFAULT_COST if cost is None else cost
    at = classifier.threshold(bound) if threshold is None else threshold
    by_heuristic = classifier.threshold(bound, heuristic=True)
    routed = worth > at if threshold is None else abstained | (estimate.difficulty > threshold)
    nobody, all_of_them = np.zeros(len(own), bool), np.ones(len(own), bool)
    small, large = (
        trial.outcome(f"always {classifier.small}", nobody),
        trial.outcome(f"always {classifier.large}", all_of_them),
    )
    mine = trial.outcome("by difficulty", routed)
    outcomes = [
        mine,
        trial.chance("at random, equal cost", routed),
        trial.outcome("by the heuristic alone", heuristic > by_heuristic),
        trial.outcome("at best, at that cost", trial.best(routed)),
        small,
        large,
    ]
    return Evaluation(
        len(own), int(learned.sum()), at, outcomes, trial.better(routed), mine.score / max(large.score, 1e-9),
        [trial.point(most, worth, classifier.threshold(most)) for most in CURVE],
        [_calibration(name, estimate.scores[:, target], trial.scores[:, target])
         for target, name in enumerate((classifier.small, classifier.large))],
        float(abstained.mean()),
    )  # fmt: skip


class Trial:
    """Choices between two targets on questions of which all is known: `scores` and `costs` [n, 2]."""

    def __init__(self, scores: npt.NDArray[np.float64], costs: npt.NDArray[np.float64]) -> None:
        self.scores = scores
        self._costs = costs
        # The same samples for all, so that differences are of pairs.
        self._samples = np.random.default_rng(0).integers(0, len(scores), (SAMPLES, len(scores)))

    def outcome(self, name: str, large: npt.NDArray[np.bool_]) -> Outcome:
        got = self._got(large)
        low, high = np.percentile(got[self._samples].mean(axis=1), (2.5, 97.5))
        return Outcome(name, float(got.mean()), float(low), float(high), self._cost(large), float(1 - large.mean()))

    def chance(self, name: str, large: npt.NDArray[np.bool_]) -> Outcome:
        """Of a choice at random that costs the same."""
        share = self._share(large)
        got = (1 - share) * self.scores[:, 0] + share * self.scores[:, 1]
        low, high = np.percentile(got[self._samples].mean(axis=1), (2.5, 97.5))
        return Outcome(name, float(got.mean()), float(low), float(high), self._cost(large), 1 - share)

    def best(self, large: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """What who knows all scores would choose, for no more than this costs: the most score for the money first."""
        gain, more = self.scores[:, 1] - self.scores[:, 0], np.maximum(self._costs[:, 1] - self._costs[:, 0], 1e-12)
        order = np.argsort(-gain / more, kind="stable")
        left = (self._costs[large, 1] - self._costs[large, 0]).sum()
        chosen = np.zeros(len(gain), bool)
        chosen[order] = (np.cumsum(more[order]) <= left + 1e-12) & (gain[order] > 0)
        return chosen

    def better(self, large: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
        """How much more is scored than by chance at equal cost, and the interval."""
        share = self._share(large)
        more = self._got(large) - ((1 - share) * self.scores[:, 0] + share * self.scores[:, 1])
        low, high = np.percentile(more[self._samples].mean(axis=1), (2.5, 97.5))
        return float(more.mean()), float(low), float(high)

    def point(self, bound: float, worth: npt.NDArray[np.float64], threshold: float) -> Point:
        large = worth > threshold
        chance = self.chance("", large)
        return Point(
            bound, threshold, chance.cost, float(self._got(large).mean()), chance.score, float(1 - large.mean())
        )

    def _got(self, large: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        return np.where(large, self.scores[:, 1], self.scores[:, 0])

    def _cost(self, large: npt.NDArray[np.bool_]) -> float:
        return float(np.where(large, self._costs[:, 1], self._costs[:, 0]).sum() / self._costs[:, 1].sum())

    def _share(self, large: npt.NDArray[np.bool_]) -> float:
        """Of the questions that go to the large target at random, for the same cost."""
        small, dear = self._costs.sum(axis=0)
        spent = np.where(large, self._costs[:, 1], self._costs[:, 0]).sum()
        return float(np.clip((spent - small) / (dear - small), 0, 1)) if dear != small else float(large.mean())


def _calibration(target: str, expected: Floats, scores: npt.NDArray[np.float64]) -> Calibration:
    bins = np.minimum((expected * BINS).astype(int), BINS - 1)
    off = [
        abs(float((expected[own] - scores[own]).mean())) * float(own.mean())
        for number in range(BINS)
        if (own := bins == number).any()
    ]
    return Calibration(target, float(((expected - scores) ** 2).mean()), float(sum(off)))
