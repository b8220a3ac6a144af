"""What answers given by meaning have come to, where the model was asked all the same: the threshold of each. Pure."""

import math
from dataclasses import dataclass, field

MARGIN = 0.02
"""How much more an answer wants after one like it was wrong."""
FIRST = 150
"""Answers, all of them right, that are taken for seen before any was compared: so many the verifier was measured on."""
_Z = 1.96


def upper(wrong: int, seen: int) -> float:
    """The upper end of Wilson's interval, 95 %, of the share that is wrong."""
    return interval(wrong, seen)[1]


def interval(wrong: int, seen: int) -> tuple[float, float]:
    """Wilson's interval, 95 %; all of it where nothing was seen."""
    if not seen:
        return 0.0, 1.0
    share, square = wrong / seen, _Z * _Z / seen
    middle = (share + square / 2) / (1 + square)
    half = _Z * math.sqrt(share * (1 - share) / seen + square / (4 * seen)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(slots=True)
class Threshold:
    """Of one answer: the least score at which it is given again; it rises with each time that it was wrong."""

    least: float = 0.0

    def learn(self, score: float, right: bool) -> None:
        if not right:
            self.least = max(self.least, min(1.1, score + MARGIN))


@dataclass(slots=True)
class ErrorBudget:
    """Of one partition: how many answers were compared, and how many were wrong. `share` may be wrong."""

    share: float
    seen: int = FIRST
    wrong: int = field(default=0)

    @property
    def spent(self) -> bool:
        """Whether surely more than the share is wrong: nothing is given by meaning any more."""
        return interval(self.wrong, self.seen)[0] > self.share

    def explore(self, least: float) -> float:
        """How often the model is asked all the same: `least`, and more often while more than the share may be wrong."""
        return min(1.0, least * max(1.0, upper(self.wrong, self.seen) / self.share))

    def learn(self, right: bool) -> None:
        self.seen += 1
        self.wrong += not right
