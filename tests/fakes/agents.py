"""Agents, retrievers and generators that do as they are told."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, field

from services.llm.chat import Message
from services.llm.generation import Calls, Ended, Generation, Piece
from services.orchestrator.domain.document_filter import DocumentFilter
from services.orchestrator.domain.event import Body, FinishReason, TextDelta
from services.orchestrator.domain.passage import Found
from services.orchestrator.domain.tool import Declaration
from services.orchestrator.runs.agent import Agent, Journal, Listed, RunInput, RunOutcome
from services.runtime.errors import ModelNotFound

SAYS: tuple[Body | RunOutcome, ...] = (TextDelta("one"), TextDelta(" two"), RunOutcome(FinishReason.STOP))


@dataclass
class FakeAgent:
    """Yields `says`, holding before the one numbered `hold` until `release` is set, and then raises `error`, if any.
    Where an event stands among them, it waits for that."""

    says: Sequence[Body | RunOutcome | asyncio.Event] = SAYS
    hold: int | None = None
    error: Exception | None = None
    name: str = "rag"
    version: int = 1
    description: str = "Does as it is told."
    held: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    closed: int = 0
    asked: list[RunInput] = field(default_factory=list)

    async def run(self, ask: RunInput, journal: Journal) -> AsyncGenerator[Body | RunOutcome, None]:
        self.asked.append(ask)
        try:
            for number, body in enumerate(self.says):
                await asyncio.sleep(0)
                if number == self.hold:
                    self.held.set()
                    await self.release.wait()
                if isinstance(body, asyncio.Event):
                    await body.wait()
                else:
                    yield body
            if self.error:
                raise self.error
        finally:
            self.closed += 1


@dataclass
class FakeRetriever:
    """Finds what it is told, or fails with `error`."""

    found: Found = field(default_factory=lambda: Found(()))
    error: Exception | None = None
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    only: list[DocumentFilter] = field(default_factory=list)
    reranked: list[int] = field(default_factory=list)

    async def search(self, collection: str, question: str, limit: int, only: DocumentFilter, rerank: int = 0) -> Found:
        self.asked.append((collection, question, limit))
        self.only.append(only)
        self.reranked.append(rerank)
        if self.error:
            raise self.error
        return self.found


@dataclass
class FakeGenerator:
    """Writes what it is told."""

    pieces: Sequence[Piece | Calls | Ended] = ()
    error: Exception | None = None
    name: str = "fake"
    closed: int = 0
    asked: list[Generation] = field(default_factory=list)

    async def count(self, messages: Sequence[Message], tools: Sequence[Declaration] = ()) -> int:
        return sum(len(message.content.split()) for message in messages)

    async def generate(self, generation: Generation) -> AsyncGenerator[Piece | Calls | Ended, None]:
        self.asked.append(generation)
        try:
            for piece in self.pieces:
                await asyncio.sleep(0)
                yield piece
            if self.error:
                raise self.error
        finally:
            self.closed += 1


class FixedAgents:
    """A set of agents that does not change, the same for all tenants."""

    def __init__(self, agents: Iterable[Agent]) -> None:
        self._agents = {agent.name: agent for agent in agents}

    async def find(self, tenant: str, model: str, prompt: str = "") -> Agent:
        agent = self._agents.get(model.partition("@")[0])
        if agent is None:
            raise ModelNotFound(model)
        return agent

    @property
    def default_model(self) -> str:
        return ""

    async def models(self, tenant: str) -> Sequence[Listed]:
        agents = sorted(self._agents.items())
        return [Listed(name, agent.description, agent.version) for name, agent in agents]
