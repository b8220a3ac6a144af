"""Who screens what agents read, as they see it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Reading(StrEnum):
    """What is read."""

    PASSAGE = "passage"
    TOOL_RESULT = "tool_result"


@dataclass(frozen=True, slots=True)
class Item:
    """A text to screen. `source`: the document's id or the tool's name."""

    id: str
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class ScreeningVerdict:
    """An item's verdict. `text`: as it may be read, None where it may not be. `guard`, `reason` and `score` of what
    was found, where it changes anything."""

    text: str | None
    guard: str = ""
    reason: str = ""
    score: float = 0.0


class Screener(Protocol):
    """The guards. `wanted` says whether any policy looks at what the present run reads; `closed` what an agent with
    tools, or one without, does where they are gone."""

    def wanted(self) -> bool: ...

    def closed(self, tools: bool) -> bool: ...

    async def screen(
        self, reading: Reading, agent: str, items: Sequence[Item], models: Sequence[str] = ()
    ) -> list[ScreeningVerdict]:
        """One for each item, in order. `models`: those that the agent asks. Raises DomainErrors: of the kind
        UNAVAILABLE where the guards are gone."""
        ...
