"""The step that asks the model."""

import logging
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from services.llm.errors import ContextTooLong
from services.llm.generation import Calls, Ended, Finish, Generation, Lost, Piece, Routed, Thought, TokenCounts
from services.llm.tokens import estimate_generation
from services.orchestrator.agents.loop.bounds import BrokenOff, begun, bounded, finish_of, given_up, permitted
from services.orchestrator.agents.loop.citations import CitationWriter
from services.orchestrator.agents.loop.prompt_plan import PromptPlan
from services.orchestrator.agents.loop.transcript import canonical
from services.orchestrator.agents.loop.trimming import refused
from services.orchestrator.agents.loop.work import Bodies, Work
from services.orchestrator.domain.event import (
    Body,
    ContextTrimmed,
    ModelRouted,
    ReasoningDelta,
    StepFinished,
    StepStarted,
    ToolCallRequested,
    UsageReported,
)
from services.orchestrator.domain.tool import ToolCall
from services.runtime.errors import DomainError

log = logging.getLogger(__name__)

# How often a model is asked that finds its prompt too long each time.
ATTEMPTS = 5


@dataclass(slots=True)
class _Heard:
    """What the model was asked in a step, if it was, and what it has said; `lost`: what was seen of an answer that
    nobody reads. `thinks`: its reasoning is of interest."""

    order: PromptPlan
    asked: bool = False
    thinks: bool = False
    text: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    lost: Lost | None = None
    routed: Routed | None = None
    ended: Ended | None = None
    waited: float = 0.0

    @property
    def written(self) -> str:
        """All that the model wrote, for an estimate of its tokens."""
        calls = (f"{call.name}{call.arguments_json}" for call in self.calls)
        return "".join([*self.text, *self.thoughts, *calls, self.lost.text if self.lost else ""])


async def generate(work: Work, order: PromptPlan) -> Bodies:  # noqa: C901 (one stream, and its ends)
    """Ask the model: its text as it comes, unless it is held back, and its calls."""
    state, kind, model = work.state, order.kind, work.handle.entry.name
    if state.open is None:
        yield StepStarted(state.steps + 1, kind, model, estimate_generation(order.generation))
    step = state.open
    assert step is not None  # noqa: S101 (the fold has seen it)
    cited = work.passages if work.spec.retrieval.citations and not work.quotes else ()
    writer = CitationWriter(state.text[: step.start], state.text[step.start :], step.citations, cited)
    heard = _Heard(order)
    started = time.monotonic()
    # What was thought before is not thought again by a run that was picked up.
    heard.thinks = not work.held and not step.thoughts
    try:
        async with aclosing(_fitting(work, heard)) as pieces:
            async for piece in pieces:
                if isinstance(piece, ContextTrimmed | ReasoningDelta | ModelRouted):
                    yield piece
                elif not work.held:
                    for body in writer.said(piece):
                        yield body
    except DomainError as error:
        for charged in _failed(work, heard, error, step.number, started):
            yield charged
        raise
    if not heard.asked:  # the limits leave no room
        yield StepFinished(step.number, kind, model, seconds=time.monotonic() - started)
        return
    calls = _permitted(heard, model)
    for requested in _requests(work, calls, step.number):
        yield requested
    ended = heard.ended or given_up(heard.order.generation, heard.written)
    took = time.monotonic() - started
    work.hops[work.handle.generator.name] += took
    finish = finish_of(ended.finish, calls) if calls or heard.ended else ""
    if finish == Finish.LENGTH:
        work.limit = heard.order.capped or work.limit
    usage = usage_of(work, ended.tokens, heard.routed)
    text = "".join(heard.text)
    yield StepFinished(step.number, kind, model, usage, took, heard.waited, text, finish, ended.confidence)


def _permitted(heard: _Heard, model: str) -> list[ToolCall]:
    calls = permitted(heard.order.generation, heard.calls)
    if len(calls) < len(heard.calls):
        log.warning("calls that the model was not free to make", extra={"model": model, "calls": len(heard.calls)})
    return calls


def _failed(work: Work, heard: _Heard, error: DomainError, step: int, started: float) -> Iterator[Body]:
    """What a step has used that an error ends: where the model has begun, it has read all that it was sent."""
    if heard.asked and begun(heard.written, heard.lost, error):
        usage = usage_of(work, given_up(heard.order.generation, heard.written).tokens, heard.routed)
        took, text = time.monotonic() - started, "".join(heard.text)
        yield StepFinished(step, heard.order.kind, work.handle.entry.name, usage, took, heard.waited, text)
    yield work.state.usage  # with that of this step, which was applied


def usage_of(work: Work, tokens: TokenCounts, routed: Routed | None = None) -> UsageReported:
    return UsageReported.of(tokens, work.handle.cost_nanos(tokens, routed))


async def _fitting(
    work: Work, heard: _Heard
) -> AsyncGenerator[Piece | ReasoningDelta | ContextTrimmed | ModelRouted, None]:
    """The pieces of the answer to a prompt that fits: of one that is too long the oldest parts are left out."""
    for attempt in range(1, ATTEMPTS + 1):
        while (trimmed := heard.order.trimmed) is not None:
            yield trimmed
            planned = await heard.order.again()
            if planned is None:
                return
            heard.order = planned
        heard.asked = True
        try:
            generation = replace(heard.order.generation, reasoning=heard.thinks)
            async with aclosing(_pieces(work, generation, heard)) as pieces:
                async for piece in pieces:
                    yield _body(piece)
            return
        except ContextTooLong as error:
            trimmed = await refused(work, heard.order.generation, error)
            if trimmed is None or heard.text or attempt == ATTEMPTS:
                raise
            heard.order = replace(heard.order, trimmed=trimmed)


def _body(piece: Piece | Thought | Routed) -> Piece | ReasoningDelta | ModelRouted:
    if isinstance(piece, Thought):
        return ReasoningDelta(piece.text)
    return ModelRouted(piece.report) if isinstance(piece, Routed) else piece


async def _pieces(work: Work, generation: Generation, heard: _Heard) -> AsyncGenerator[Piece | Thought | Routed, None]:
    """The pieces of text, until the model ends, the run's time is over, or it writes on past what it may."""
    most = generation.sampling.max_tokens or work.handle.entry.sampling.max_tokens
    clock = time.monotonic
    async with aclosing(bounded(work.handle.generator.generate(generation), work.ends, most)) as pieces:
        while True:
            asked = clock()
            try:
                piece = await anext(pieces, None)
            except BrokenOff as broken:
                work.limit = broken.limit or work.limit
                heard.ended = None if broken.limit else given_up(generation, heard.written)
                return
            finally:
                heard.waited += clock() - asked
            if piece is None:
                if heard.ended is None:
                    raise RuntimeError(f"{work.handle.entry.name} ended without saying why")
                return
            if isinstance(piece, Piece):
                heard.text.append(piece.text)
                yield piece
            elif isinstance(piece, Thought):
                heard.thoughts.append(piece.text)
                yield piece
            elif isinstance(piece, Calls):
                heard.calls += piece.calls
            elif isinstance(piece, Lost):
                heard.lost = piece
            elif isinstance(piece, Routed):
                heard.routed = piece
                yield piece
            else:
                heard.ended = piece


def _requests(work: Work, calls: Sequence[ToolCall], step: int) -> list[ToolCallRequested]:
    """The calls as events, each with an id of its own; not those that were recorded before the process died."""
    state = work.state
    known = [canonical_call(one.call) for one in state.calls.values() if one.step == step]
    callers = {tool.name for tool in work.ask.tools}
    made: list[ToolCallRequested] = []
    taken = set(state.calls) | {call.id for message in work.ask.messages for call in message.tool_calls}
    for number, call in enumerate(calls, 1):
        if canonical_call(call) in known:
            known.remove(canonical_call(call))
            continue
        given = call.id if call.id and call.id not in taken else f"call_{step}_{number}_{work.journal.run_id[-8:]}"
        taken.add(given)
        made.append(ToolCallRequested(replace(call, id=given), step, call.name in callers))
    return made


def canonical_call(call: ToolCall) -> tuple[str, str]:
    return call.name, canonical(call.arguments_json)
