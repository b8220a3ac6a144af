"""What a grader is asked, and what it says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.orchestrator.agents.specs.structured import Checker
from services.orchestrator.domain.event import UsageReported
from services.orchestrator.domain.passage import Passage

NOTHING = UsageReported(0, 0)


@dataclass(frozen=True, slots=True)
class GradedAnswer:
    """An answer to be judged. `evidence`: the texts that it may rest on; `ends`: when judging must be over, on the
    monotonic clock."""

    question: str
    answer: str
    passages: Sequence[Passage] = ()
    evidence: tuple[str, ...] = ()
    checker: Checker | None = None
    ends: float | None = None


@dataclass(frozen=True, slots=True)
class Grade:
    """`score` from 0, bad, to 1, good; `sentences` those found fault with. `undecided`: there is no verdict, neither
    yes nor no."""

    passed: bool
    score: float
    reason: str
    sentences: tuple[str, ...] = ()
    usage: UsageReported = NOTHING
    undecided: bool = False

    @classmethod
    def none(cls, why: str, usage: UsageReported = NOTHING) -> "Grade":
        """No verdict."""
        return cls(False, 0.0, why, usage=usage, undecided=True)


class Grader(Protocol):
    async def grade(self, question: GradedAnswer) -> Grade:
        """Raises DomainErrors: those of the model that judges."""
        ...
