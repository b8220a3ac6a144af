"""What executes a run."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from services.orchestrator.runs.events import Body, Timing


@dataclass(frozen=True, slots=True)
class Ask:
    """What a run is to answer."""

    question: str
    collection: str
    max_passages: int
    max_sentences: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an agent ended: with an answer, or having found none; and what its hops took."""

    answered: bool
    timings: tuple[Timing, ...] = ()


class Agent(Protocol):
    """Something that answers. `run` yields events as they happen and an Outcome last."""

    @property
    def description(self) -> str: ...

    def run(self, ask: Ask) -> AsyncGenerator[Body | Outcome, None]: ...
