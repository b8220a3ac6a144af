"""Catalogues, journals and generators for tests of agents: what happens is written in a script."""

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from services.llm.catalogue.entry import ALL, Capability, CatalogueEntry, EngineKind
from services.llm.chat import Message
from services.llm.generation import Calls, Ended, Finish, Generation, Generator, Piece, Thought, TokenCounts
from services.llm.handle import ModelHandle
from services.llm.models import Catalogue
from services.llm.price import Price
from services.orchestrator.domain.event import (
    ApprovalDecided,
    ApprovalRequested,
    Body,
    Event,
    Started,
    ToolCallBegun,
)
from services.orchestrator.domain.tool import Declaration, ToolCall, ToolContext
from services.orchestrator.runs.agent import Agent, Review, RunInput, RunOutcome

Said = Piece | Thought | Calls | Ended
END = Ended(Finish.STOP, TokenCounts(10, 5))
CALLS_END = Ended(Finish.TOOL_CALLS, TokenCounts(10, 5))


def says(
    *parts: str, finish: Finish = Finish.STOP, tokens: TokenCounts = END.tokens, sure: float | None = None
) -> list[Said]:
    """A generation of text."""
    return [*(Piece(part) for part in parts), Ended(finish, tokens, sure)]


def calls(*made: tuple[str, str], text: str = "", first: int = 1) -> list[Said]:
    """A generation that calls tools: (name, arguments)."""
    requested = tuple(ToolCall(f"c{number}", name, given) for number, (name, given) in enumerate(made, first))
    return [*([Piece(text)] if text else []), Calls(requested), CALLS_END]


@dataclass
class ScriptedGenerator:
    """Answers each generation as `answer` says, given what was asked; it has no memory, as a model has none."""

    answer: Callable[[Generation], Sequence[Said]]
    name: str = "llm"
    asked: list[Generation] = field(default_factory=list)
    closed: int = 0
    delay: Callable[[Said], Any] | None = None

    async def count(self, messages: Sequence[Message], tools: Sequence[Declaration] = ()) -> int:
        return sum(len(message.content.split()) for message in messages)

    async def generate(self, generation: Generation) -> AsyncGenerator[Said, None]:
        self.asked.append(generation)
        try:
            for piece in self.answer(generation):
                if self.delay is not None:
                    await self.delay(piece)
                yield piece
        finally:
            self.closed += 1


def turns(*script: Sequence[Said]) -> Callable[[Generation], Sequence[Said]]:
    """The n-th generation by the number of the model's own turns in the prompt, the last for all after it."""

    def answer(generation: Generation) -> Sequence[Said]:
        spoken = sum(message.role == 3 for message in generation.messages)
        return script[min(spoken, len(script) - 1)]

    return answer


def catalogue(
    *generators: tuple[str, Generator],
    default: str = "",
    engine: EngineKind = EngineKind.OPENAI,
    capabilities: frozenset[Capability] = ALL,
    price: Price = Price(1_000_000, 2_000_000),
    **entry: Any,
) -> Catalogue:
    """Models by name; `entry` has further fields of each one's Entry."""
    served = [
        ModelHandle(CatalogueEntry(name, engine, capabilities=capabilities, price=price, **entry), generator)
        for name, generator in generators
    ]
    return Catalogue(served, default)


@dataclass
class FakeTool:
    """Gives what `result` says, or raises it."""

    name: str
    result: Callable[[Mapping[str, Any]], Any] = lambda arguments: "done"
    idempotent: bool = True
    called: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def declaration(self) -> Declaration:
        return Declaration(self.name, "Does as it is told.", {"type": "object"})

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        self.called.append(arguments)
        given = self.result(arguments)
        if hasattr(given, "__await__"):
            given = await given
        if isinstance(given, Exception):
            raise given
        return str(given)


@dataclass
class FakeJournal:
    """A run as its agent sees it; `decide` says what a person does."""

    events: list[Event] = field(default_factory=lambda: [Event(1, Started("agent", "default", 1, begins=True))])
    decide: Callable[[ApprovalRequested], ApprovalDecided] | None = None
    run_id: str = "run_orchestrator-0_0123456789abcdef"
    tenant: str = "acme"
    deadline: float = field(default_factory=lambda: time.monotonic() + 60)
    record: list[Event] = field(default_factory=list)
    checks: list[Review] = field(default_factory=list)

    def append(self, body: Body) -> None:
        self.record.append(Event(len(self.record) + 1, body))

    async def decision(self, approval_id: str) -> ApprovalDecided:
        bodies = (event.body for event in self.record)
        request = next(b for b in bodies if isinstance(b, ApprovalRequested) and b.approval_id == approval_id)
        assert self.decide is not None
        decision = self.decide(request)
        for check in self.checks:
            check(request, decision)
        self.append(decision)
        return decision

    async def begin(self, call_id: str) -> ToolCallBegun:
        body = ToolCallBegun(call_id)
        self.append(body)
        return body

    def review(self, check: Review) -> None:
        self.checks = [check]


async def played(agent: Agent, ask: RunInput, journal: FakeJournal | None = None) -> tuple[list[Body], RunOutcome]:
    """All events of a run after those that it began with, and its end."""
    journal = journal or FakeJournal()
    journal.record = list(journal.events)
    async with aclosing(agent.run(ask, journal)) as bodies:
        async for body in bodies:
            if isinstance(body, RunOutcome):
                return [event.body for event in journal.record[len(journal.events) :]], body
            journal.append(body)
    raise AssertionError("no outcome")
