"""What a route tells: what it has decided on the way to an answer, and how its targets are. Pure."""

from dataclasses import dataclass
from typing import Any

from services.llm.faults import Fault


@dataclass(frozen=True, slots=True)
class Attempt:
    """A target that was asked and gave no answer."""

    target: str
    fault: Fault
    seconds: float


@dataclass(frozen=True, slots=True)
class RouteReport:
    """`target`: the model that answers. `failed`: those that were asked before it. `hedged`: another one was asked as
    well, which was slower. `resumed`: it goes on with an answer that the last of those had begun."""

    route: str
    target: str
    failed: tuple[Attempt, ...] = ()
    hedged: bool = False
    resumed: bool = False

    @property
    def header(self) -> str:
        """Such as "steady; target=small; failed=east:overload,west:connect; hedged"."""
        failed = ",".join(f"{one.target}:{one.fault}" for one in self.failed)
        parts = [self.route, f"target={self.target}", f"failed={failed}" * bool(failed), "hedged" * self.hedged]
        parts += ["resumed"] * self.resumed
        return "; ".join(filter(None, parts))

    @property
    def json(self) -> dict[str, Any]:
        """As `headworks.route` of an answer has it."""
        failed = [{"target": one.target, "fault": one.fault, "seconds": round(one.seconds, 4)} for one in self.failed]
        told = {"name": self.route, "target": self.target, "failed": failed, "hedged": self.hedged}
        return {**told, "resumed": True} if self.resumed else told


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
