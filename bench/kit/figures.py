"""Figures of several rounds, put together, and what they must reach."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Summary:
    """One figure over all rounds."""

    median: float
    minimum: float
    maximum: float
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> "Summary":
        """Raises ValueError where there is no value."""
        if not values:
            raise ValueError("a summary needs at least one value")
        return cls(statistics.median(values), min(values), max(values), tuple(values))


@dataclass(frozen=True, slots=True)
class Latencies:
    """Percentiles of a sample, in milliseconds."""

    p50: float
    p90: float
    p99: float
    highest: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Latencies":
        """Raises ValueError for an empty sample."""
        ordered = sorted(seconds)
        p50, p90, p99 = (percentile(ordered, share) * 1000 for share in (0.50, 0.90, 0.99))
        return cls(p50, p90, p99, ordered[-1] * 1000)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the ordered values that at least `share` of them do not exceed. Raises ValueError for none."""
    if not ordered:
        raise ValueError("a percentile needs at least one value")
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def share(values: Sequence[bool]) -> float:
    """How many of them are true, of one; 0 for none."""
    return sum(values) / len(values) if values else 0.0


def ratio(first: float, second: float) -> float:
    """first / second; infinite where only the second is zero, one where both are."""
    if second:
        return first / second
    return math.inf if first else 1.0


def paired(
    own: Mapping[str, Summary], theirs: Mapping[str, Summary], figure: str,
    compare: Callable[[float, float], float] = ratio,
) -> float:  # fmt: skip
    """The median of what each round's two values come to, so that a drift of the machine is in both."""
    pairs = zip(own[figure].values, theirs[figure].values, strict=True)
    return statistics.median(compare(mine, other) for mine, other in pairs)


class Bound(Enum):
    """How a figure is held against its limit; the value is the sign shown."""

    AT_LEAST = "≥"
    AT_MOST = "≤"
    UNDER = "<"
    OVER = ">"


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure and its limit."""

    name: str
    measured: float
    bound: Bound
    limit: float

    @property
    def met(self) -> bool:
        match self.bound:
            case Bound.AT_LEAST:
                return self.measured >= self.limit
            case Bound.AT_MOST:
                return self.measured <= self.limit
            case Bound.UNDER:
                return self.measured < self.limit
            case Bound.OVER:
                return self.measured > self.limit
