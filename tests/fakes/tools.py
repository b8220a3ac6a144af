"""Tools that do as they are told."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.orchestrator.domain.tool import Declaration, ToolCall, ToolContext

ANYTHING = {"type": "object"}
CONTEXT = ToolContext("acme", "run_1", "", ("docs",))


@dataclass
class FakeTool:
    """Gives `answer`, or what it gives where it is a function of the arguments."""

    answer: str | Callable[[Mapping[str, Any]], Awaitable[Any]] = "done"
    name: str = "fake"
    idempotent: bool = False
    parameters: Mapping[str, Any] = field(default_factory=lambda: ANYTHING)
    json: bool = False
    calls: list[tuple[Mapping[str, Any], ToolContext]] = field(default_factory=list)

    @property
    def declaration(self) -> Declaration:
        return Declaration(self.name, "Does as it is told.", self.parameters, self.json)

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        self.calls.append((arguments, context))
        if isinstance(self.answer, str):
            return self.answer
        return await self.answer(arguments)  # type: ignore[no-any-return]  # some tests give what is no text


def call(arguments: str = "", name: str = "fake", identifier: str = "call_1") -> ToolCall:
    return ToolCall(identifier, name, arguments)
