"""Agents for tests: a spec, a script for its model, and fake tools."""

from collections.abc import Callable, Sequence
from typing import Any

from services.llm.catalogue.entry import EngineKind
from services.llm.chat import Message, Role
from services.llm.generation import Generation
from services.orchestrator.agents.loop.loop import SpecAgent
from services.orchestrator.agents.loop.screener import Screener
from services.orchestrator.agents.loop.work import Embedder, Kit
from services.orchestrator.agents.specs.validation import parse
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.event import Body, TextDelta, ToolResultReceived
from services.orchestrator.domain.passage import Retriever
from services.orchestrator.domain.tool import Tool, ToolPolicy, ToolResult
from services.orchestrator.runs.agent import RunInput
from services.orchestrator.sessions.memory import Count, SessionMemory, SessionWindow, Summarise
from services.orchestrator.tools.toolbox import Toolbox
from tests.fakes.agents import FakeRetriever
from tests.fakes.models import Said, ScriptedGenerator, catalogue

ASK = RunInput((Message(Role.USER, "What is 2 + 2?"),))


class FakeToolboxes:
    """The same tools whatever the spec lists."""

    def __init__(self, toolbox: Toolbox) -> None:
        self.toolbox = toolbox

    def check(self, entries: Sequence[Any]) -> list[tuple[tuple[str | int, ...], str]]:
        return []

    async def open(self, entries: Sequence[Any]) -> Toolbox:
        return self.toolbox


class Remembers:
    """A memory with one message and a summary that it has made."""

    async def window(
        self, tenant: str, session_id: str, budget: int, count: Count, summarise: Summarise | None = None
    ) -> SessionWindow:
        old = (Message(Role.USER, "I am Ann."),)
        assert (tenant, session_id, budget) == ("acme", "s1", 100)
        assert await count(old) == 3
        summary = await summarise("", old) if summarise else ""
        return SessionWindow(summary, (Message(Role.USER, "Hello."), Message(Role.ASSISTANT, "Hi.")))


def agent(
    answer: Callable[[Generation], Sequence[Said]],
    spec: str = "",
    *tools: Tool,
    policies: dict[str, ToolPolicy] | None = None,
    retriever: Retriever | None = None,
    embedder: Embedder | None = None,
    memory: SessionMemory | None = None,
    screener: Screener | None = None,
    caller: Callable[[], Caller] = Caller,
    engine: EngineKind = EngineKind.OPENAI,
    **entry: Any,
) -> tuple[SpecAgent, ScriptedGenerator]:
    """`spec` follows the name and the list of tools; `entry` has fields of the model's CatalogueEntry."""
    listed = "tools: [" + ", ".join(tool.declaration.name for tool in tools) + "]\n" if tools else ""
    generator = ScriptedGenerator(answer)
    models = catalogue(("small", generator), default="small", engine=engine, **entry)
    toolboxes = FakeToolboxes(Toolbox(tools, policies))
    kit = Kit(models, retriever or FakeRetriever(), toolboxes, memory, embedder, screener, caller)
    return SpecAgent(parse(f"name: helper\nmodel: small\n{listed}{spec}"), 1, models.find("small"), kit), generator


def text(bodies: Sequence[Body]) -> str:
    """The answer."""
    return "".join(body.text for body in bodies if isinstance(body, TextDelta))


def results(bodies: Sequence[Body]) -> list[ToolResult]:
    """The tools' results, as they came."""
    return [body.result for body in bodies if isinstance(body, ToolResultReceived)]


def kinds(bodies: Sequence[Body]) -> list[str]:
    return [type(body).__name__ for body in bodies]
