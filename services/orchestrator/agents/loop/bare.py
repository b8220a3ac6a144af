"""A model of the catalogue, asked as it is: no instructions, no retrieval, no limits but the model's own."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from services.llm.chat import Form
from services.llm.generation import Calls, Ended, Finish, Generation, Lost, Piece, Routed, Thought, TokenCounts
from services.llm.handle import ModelHandle
from services.llm.tokens import estimate_generation
from services.orchestrator.agents.loop.bounds import begun, check_choice, finish_of, given_up, offered
from services.orchestrator.agents.loop.citations import CitationWriter
from services.orchestrator.agents.loop.finalize import REASONS
from services.orchestrator.domain.event import (
    Body,
    CitationAdded,
    ModelRouted,
    ReasoningDelta,
    StepFinished,
    StepKind,
    StepStarted,
    TextDelta,
    Timing,
    ToolCallRequested,
    UsageReported,
)
from services.orchestrator.domain.tool import ToolCall
from services.orchestrator.runs.agent import Agent, Journal, RunInput, RunOutcome
from services.runtime.errors import DomainError


class BareModel:
    """Passes the caller's messages, tools and sampling on as they are. All tools are the caller's."""

    version = 0
    resumable = True

    def __init__(self, served: ModelHandle, loop: Agent | None = None) -> None:
        """`loop` runs what takes more than one question: a session, an answer that must have a form."""
        self._served = served
        self._loop = loop
        self.name = served.entry.name
        self.description = served.entry.description

    async def run(self, ask: RunInput, journal: Journal) -> AsyncGenerator[Body | RunOutcome, None]:
        """One step. Done again for a run that is picked up, without saying again what was said."""
        if self._loop is not None and (ask.session_id or _formed(ask)):
            async with aclosing(self._loop.run(ask, journal)) as events:
                async for event in events:
                    yield event
            return
        check_choice(ask.tool_choice, [tool.name for tool in ask.tools])
        started = time.monotonic()
        done = None
        if len(journal.events) > 1:
            done = next((e.body for e in journal.events if isinstance(e.body, StepFinished)), None)
        if done is None:
            async with aclosing(self._generate(ask, journal)) as bodies:
                async for body in bodies:
                    if type(body) is StepFinished:
                        done = body
                    yield body
        assert done is not None  # noqa: S101 (the last thing that a step yields)
        yield done.usage
        took = Timing(self._served.generator.name, time.monotonic() - started)
        yield RunOutcome(REASONS[Finish(done.finish)], (took,))

    async def _generate(  # noqa: C901 (one stream, and its ends)
        self, ask: RunInput, journal: Journal
    ) -> AsyncGenerator[Body, None]:
        name, before = self.name, [event.body for event in journal.events]
        said = "".join(body.text for body in before if isinstance(body, TextDelta))
        writer = CitationWriter("", said, sum(isinstance(body, CitationAdded) for body in before)) if said else None
        if not any(isinstance(body, StepStarted) for body in before):
            yield StepStarted(1, StepKind.GENERATE, name, estimate_generation(_generation(ask)))
        parts: list[str] = []
        thoughts: list[str] = []
        calls: list[ToolCall] = []
        lost: Lost | None = None
        routed: Routed | None = None
        clock = time.monotonic
        started = asked = clock()
        waited = 0.0
        ended: Ended | None = None
        # What was thought before is not thought again by a run that was picked up.
        thought = any(isinstance(body, ReasoningDelta) for body in before)
        generation = replace(_generation(ask), reasoning=not thought)
        try:
            async with aclosing(self._served.generator.generate(generation)) as pieces:
                async for piece in pieces:
                    waited += clock() - asked
                    if type(piece) is Piece:
                        parts.append(piece.text)
                        for body in _said(piece, writer):
                            yield body
                    elif type(piece) is Thought:
                        thoughts.append(piece.text)
                        yield ReasoningDelta(piece.text)
                    elif type(piece) is Calls:
                        calls += piece.calls
                    elif type(piece) is Lost:
                        lost = piece
                    elif type(piece) is Routed:
                        routed = piece
                        yield ModelRouted(piece.report)
                    elif type(piece) is Ended:
                        ended = piece
                    asked = clock()
        except DomainError as error:
            written = "".join([*parts, *thoughts, lost.text if lost else ""])
            used = given_up(generation, written).tokens if begun(written, lost, error) else TokenCounts()
            yield self._usage(used, routed)
            raise
        if ended is None:
            raise RuntimeError(f"{name} ended without saying why")
        requested = sum(isinstance(body, ToolCallRequested) for body in before)
        calls = offered(generation, calls)
        for call in calls[requested:]:
            yield ToolCallRequested(call, 1, callers=True)
        usage = self._usage(ended.tokens, routed)
        finish = finish_of(ended.finish, calls)
        text = "".join(parts)
        yield StepFinished(1, StepKind.GENERATE, name, usage, clock() - started, waited, text, finish, ended.confidence)

    def _usage(self, tokens: TokenCounts, routed: Routed | None) -> UsageReported:
        return UsageReported.of(tokens, self._served.cost_nanos(tokens, routed))


def _said(piece: Piece, writer: CitationWriter | None) -> Sequence[Body]:
    if writer is None:
        return (TextDelta(piece.text, piece.tokens, piece.refusal),)
    return writer.said(piece)


def _formed(ask: RunInput) -> bool:
    return ask.response_format is not None and ask.response_format.form is not Form.TEXT


def _generation(ask: RunInput) -> Generation:
    return Generation(
        ask.messages,
        ask.tools,
        ask.tool_choice,
        ask.serial_tool_calls,
        sampling=ask.sampling,
        priority=ask.priority,
    )
