"""What a figure must reach."""

from dataclasses import dataclass
from enum import Enum


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
