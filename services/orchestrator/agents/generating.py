"""The step that asks the model."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, fields, replace
from typing import Any

import orjson

from services.orchestrator.agents.citations import Writer
from services.orchestrator.agents.limits import COST, SECONDS, TOKENS, room
from services.orchestrator.agents.prompt import variables
from services.orchestrator.agents.retrieving import question_of
from services.orchestrator.agents.transcript import canonical
from services.orchestrator.agents.work import Bodies, Work, sampling_of
from services.orchestrator.conversation import Choice, Message, ResponseFormat, Role, Sampling, ToolChoice
from services.orchestrator.generate.generator import Calls, Ended, Finish, Generation, Piece, Tokens
from services.orchestrator.runs.events import StepFinished, StepKind, StepStarted, ToolCallRequested, UsageReported
from services.orchestrator.tools.tool import Declaration, ToolCall

CHARACTERS_A_TOKEN = 4
MESSAGE_OVERHEAD = 16


@dataclass(frozen=True, slots=True)
class Order:
    """What a step asks for. `extra` messages follow the transcript; `capped` says that a limit set max_tokens."""

    kind: StepKind
    generation: Generation
    capped: str = ""


@dataclass(slots=True)
class _Heard:
    """What the model has said in a step."""

    text: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    ended: Ended | None = None
    waited: float = 0.0


async def order(work: Work, kind: StepKind, extra: Sequence[Message] = (), *, tools: bool = True) -> Order | None:
    """What to ask the model next; None where the limits leave no room to ask, and then `work.limit` is set."""
    generation = _generation(work, extra, tools=tools and kind is StepKind.GENERATE)
    limits = work.spec.limits
    if limits.tokens is None and limits.cost is None:
        return Order(kind, generation)
    wanted = generation.sampling.max_tokens
    most = room(limits, work.state, work.served.entry, _upper_bound(generation))
    if most is not None and (wanted is None or most < wanted):
        exact = await work.served.generator.count(generation.messages, generation.tools)
        most = room(limits, work.state, work.served.entry, exact)
    if most is None or (wanted is not None and wanted <= most):
        return Order(kind, generation)
    limit = TOKENS if limits.cost is None or _is_tokens(work, most) else COST
    if most <= 0:
        work.limit = limit
        return None
    return Order(kind, replace(generation, sampling=replace(generation.sampling, max_tokens=most)), limit)


async def generate(work: Work, order: Order) -> Bodies:
    """Ask the model: its text as it comes, unless it is held back, and its calls."""
    state, kind, model = work.state, order.kind, work.served.entry.name
    if state.open is None:
        yield StepStarted(state.steps + 1, kind, model)
    step = state.open
    assert step is not None  # noqa: S101 (the fold has seen it)
    cited = work.passages if work.spec.retrieval.citations and not work.quotes else ()
    writer = Writer(state.text[: step.start], state.text[step.start :], step.citations, cited)
    heard = _Heard()
    started = time.monotonic()
    async with aclosing(_pieces(work, order.generation, heard)) as pieces:
        async for piece in pieces:
            if not work.held:
                for body in writer.write(piece.text, piece.citation):
                    yield body
    for requested in _requests(work, heard.calls, step.number):
        yield requested
    ended = heard.ended or _given_up(work, order.generation, heard)
    took = time.monotonic() - started
    work.hops[work.served.generator.name] += took
    finish = Finish.TOOL_CALLS if heard.calls else ended.finish if heard.ended else ""
    if finish == Finish.LENGTH and order.capped:
        work.limit = order.capped
    usage = usage_of(work, ended.tokens)
    text = "".join(heard.text)
    yield StepFinished(step.number, kind, model, usage, took, heard.waited, text, finish, ended.confidence)


def usage_of(work: Work, tokens: Tokens) -> UsageReported:
    return UsageReported(tokens.read, tokens.written, tokens.cached, work.served.entry.cost_nanos(tokens))


async def _pieces(work: Work, generation: Generation, heard: _Heard) -> AsyncGenerator[Piece, None]:
    """The pieces of text, until the model ends or the run's time is over."""
    pieces = work.served.generator.generate(generation)
    ends = work.clock.ends(work.spec.limits.seconds)
    clock = time.monotonic
    try:
        while True:
            asked = clock()
            try:
                async with asyncio.timeout(None if ends is None else ends - asked):
                    piece = await anext(pieces, None)
            except TimeoutError:
                if ends is None or clock() < ends:
                    raise
                work.limit = SECONDS
                return
            finally:
                heard.waited += clock() - asked
            if piece is None:
                if heard.ended is None:
                    raise RuntimeError(f"{work.served.entry.name} ended without saying why")
                return
            if isinstance(piece, Piece):
                heard.text.append(piece.text)
                yield piece
            elif isinstance(piece, Calls):
                heard.calls += piece.calls
            else:
                heard.ended = piece
    finally:
        await pieces.aclose()


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


def _given_up(work: Work, generation: Generation, heard: _Heard) -> Ended:
    """The end of a generation that was broken off, whose tokens can only be guessed."""
    read = sum(len(message.content) for message in generation.messages) // CHARACTERS_A_TOKEN
    return Ended(Finish.LENGTH, Tokens(read, sum(map(len, heard.text)) // CHARACTERS_A_TOKEN))


def _generation(work: Work, extra: Sequence[Message], *, tools: bool) -> Generation:
    ask, spec = work.ask, work.spec
    if work.quotes:
        question = Message(Role.USER, question_of(work))
        most = ask.max_sentences or spec.retrieval.max_sentences
        return Generation((question,), found=work.found, max_sentences=most, priority=ask.priority)
    given = variables(question_of(work), work.passages, work.journal.tenant, work.collections, spec.name)
    messages = (*work.prompt.build(_conversation(work), given), *work.state.messages, *extra)
    offered = _offered(work) if tools else ()
    choice = _choice(work) if offered else ToolChoice()
    # A grammar for the answer would keep the model from calling tools, so that with tools the answer is checked only.
    free = bool(offered) and choice.choice is not Choice.NONE
    return Generation(
        messages,
        offered,
        choice,
        ask.serial_tool_calls,
        ResponseFormat() if free else work.form,
        sampling(work),
        ask.priority,
        spec.approval.answer_below is not None,
    )


def _conversation(work: Work) -> tuple[Message, ...]:
    window = work.window
    if window is None:
        return work.ask.messages
    summary = [Message(Role.SYSTEM, f"What was said before, in short:\n{window.summary}")] if window.summary else []
    return (*summary, *window.messages, *work.ask.messages)


def _offered(work: Work) -> tuple[Declaration, ...]:
    return (*work.toolbox.declarations, *work.ask.tools)


def _choice(work: Work) -> ToolChoice:
    """The caller's choice, then the agent's; once a tool has been called, the model is free."""
    asked = work.ask.tool_choice
    if asked.choice is Choice.NONE:
        return asked
    if work.state.calls:
        return ToolChoice()
    if asked != ToolChoice():
        return asked
    words = {"auto": Choice.AUTO, "none": Choice.NONE, "required": Choice.REQUIRED}
    own = work.spec.tool_choice
    return ToolChoice(words[own]) if own in words else ToolChoice(Choice.FUNCTION, own)


def sampling(work: Work) -> Sampling:
    """The caller's sampling over the agent's; not more tokens than the agent allows."""
    own = Sampling(**sampling_of(work.spec))
    asked = {each.name: getattr(work.ask.sampling, each.name) for each in fields(Sampling)}
    changes: dict[str, Any] = {name: value for name, value in asked.items() if value not in (None, (), False)}
    both = replace(own, **changes)
    if own.max_tokens is not None and both.max_tokens is not None:
        return replace(both, max_tokens=min(own.max_tokens, both.max_tokens))
    return both


def _upper_bound(generation: Generation) -> int:
    """Tokens of the prompt at most: a token is a byte at least."""
    size = sum(len(message.content.encode()) + MESSAGE_OVERHEAD for message in generation.messages)
    size += sum(len(call.arguments_json) + len(call.name) for one in generation.messages for call in one.tool_calls)
    return size + sum(len(orjson.dumps(tool)) for tool in generation.tools)


def _is_tokens(work: Work, most: int) -> bool:
    """The limit on tokens leaves no more than the one on cost."""
    limits = work.spec.limits.model_copy(update={"tokens": None})
    by_cost = room(limits, work.state, work.served.entry, 0)
    return work.spec.limits.tokens is not None and (by_cost is None or most < by_cost)
