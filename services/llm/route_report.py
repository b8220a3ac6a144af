"""What a route tells: what it has decided on the way to an answer, and how its targets are. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from services.llm.faults import Fault


@dataclass(frozen=True, slots=True)
class Attempt:
    """A target that was asked and gave no answer."""

    target: str
    fault: Fault
    seconds: float


class JudgedBy(StrEnum):
    """What has judged how hard a question is; the words are parts of the API."""

    CLASSIFIER = "classifier"
    HEURISTIC = "heuristic"


@dataclass(frozen=True, slots=True)
class Difficulty:
    """How hard a question is taken to be, 0 to 1. `abstained`: why that was not gone by and the large model preferred:
    "far", "disagree", "no_text". `explored`: the other model is preferred, to learn from its answer."""

    value: float
    by: JudgedBy
    abstained: str = ""
    explored: bool = False

    @property
    def why(self) -> str:
        """What the choice rests on, in a word."""
        return "explored" if self.explored else self.abstained or self.by.value

    @property
    def json(self) -> dict[str, Any]:
        value = {"value": round(self.value, 3), "by": self.by.value}
        return value | {"abstained": self.abstained, "explored": self.explored}


@dataclass(frozen=True, slots=True)
class RouteReport:
    """`target`: the model that answers. `failed`: those that were asked before it. `hedged`: another one was asked as
    well, which was slower. `resumed`: it goes on with an answer that the last of those had begun. `difficulty`: by
    which the first target was chosen, where the route goes by that."""

    route: str
    target: str
    failed: tuple[Attempt, ...] = ()
    hedged: bool = False
    resumed: bool = False
    difficulty: Difficulty | None = None

    @property
    def header(self) -> str:
        """Such as "steady; target=small; failed=east:overload,west:connect; hedged"."""
        failed = ",".join(f"{one.target}:{one.fault}" for one in self.failed)
        parts = [self.route, f"target={self.target}", f"failed={failed}" * bool(failed), "hedged" * self.hedged]
        parts += ["resumed"] * self.resumed
        if (judged := self.difficulty) is not None:
            why = f"abstained={judged.abstained}" * bool(judged.abstained)
            parts += [f"difficulty={judged.value:.2f}", f"by={judged.by}", why, "explored" * judged.explored]
        return "; ".join(filter(None, parts))

    @property
    def json(self) -> dict[str, Any]:
        """As `headworks.route` of an answer has it."""
        failed = [{"target": one.target, "fault": one.fault, "seconds": round(one.seconds, 4)} for one in self.failed]
        told = {"name": self.route, "target": self.target, "failed": failed, "hedged": self.hedged}
        told |= {} if self.difficulty is None else {"difficulty": self.difficulty.json}
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
