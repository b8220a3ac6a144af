"""How a target of a route is, as one process finds it. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """The fields are the contract's: see ModelTarget."""

    model: str
    order: int
    weight: int
    breaker: str
    open_seconds: float
    failing: float
    in_flight: int
    slow_seconds: float
