"""What guards find, and what is done about it. Nothing here holds the content that was found."""

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """What is screened: what the caller says, what the agent reads (passages, tool results), what the model says."""

    INPUT = "input"
    CONTEXT = "context"
    OUTPUT = "output"


class Action(StrEnum):
    """What is done about a finding."""

    FLAG = "flag"
    REDACT = "redact"
    BLOCK = "block"


class Mode(StrEnum):
    """Whether a guard acts, or only says what it would have done."""

    ENFORCE = "enforce"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a guard found, without the content. `start` and `end`: where in the text as it came, in characters; both
    0 for a finding about the text as a whole. `item`: which of several texts. `score`: 0 to 1. `reason`: for people.
    """

    guard: str
    category: str
    action: Action
    mode: Mode
    start: int
    end: int
    score: float = 1.0
    reason: str = ""
    item: int = 0

    @property
    def acts(self) -> bool:
        """Whether text is changed or stopped because of it."""
        return self.mode is Mode.ENFORCE and self.action is not Action.FLAG

    @property
    def blocks(self) -> bool:
        return self.acts and self.action is Action.BLOCK
