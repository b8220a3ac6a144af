"""The loop: look at what has happened, take the next step, until the answer is said or a limit is reached."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from services.llm.chat import Form, Message, ResponseFormat, Role
from services.llm.handle import ModelHandle
from services.llm.prompts.prompt import PromptVersion
from services.orchestrator.agents.loop import metrics
from services.orchestrator.agents.loop.approving import ask_person, decided, review
from services.orchestrator.agents.loop.bounds import check_choice
from services.orchestrator.agents.loop.finalize import REJECTED_RUN, finalize, needs_grade, reason_of, repair
from services.orchestrator.agents.loop.generating import generate
from services.orchestrator.agents.loop.grading import grade
from services.orchestrator.agents.loop.limits import Clock, reached, recorded, soft
from services.orchestrator.agents.loop.memory import recall, recalls, remember
from services.orchestrator.agents.loop.prompt import PromptTemplates, declined
from services.orchestrator.agents.loop.prompt_plan import PromptPlan, build_request
from services.orchestrator.agents.loop.retrieving import retrieve, search_again
from services.orchestrator.agents.loop.tool_step import call_tools
from services.orchestrator.agents.loop.transcript import fold
from services.orchestrator.agents.loop.work import Bodies, Kit, Work
from services.orchestrator.agents.specs.spec import AgentSpec
from services.orchestrator.agents.specs.structured import checker
from services.orchestrator.domain.event import (
    ApprovalKind,
    Body,
    FinishReason,
    StepFinished,
    StepKind,
    TextDelta,
    VerdictGiven,
)
from services.orchestrator.runs.agent import Journal, RunInput, RunOutcome
from services.orchestrator.tools.toolbox import Toolbox
from services.runtime.errors import DomainError, ErrorKind, InvalidArgument

# How long a run that is picked up waits for its tools, and how often it looks.
PATIENCE_SECONDS, PAUSE_SECONDS = 60.0, 0.5
CLOSE = Message(Role.USER, "No more tools may be called. Answer now, with what you have.")
_NAMES = {"seconds": "time", "cost": "cost", "tokens": "tokens", "steps": "steps", "repetition": "repeated calls"}


class SpecAgent:
    """An agent made from a spec."""

    resumable = True

    def __init__(
        self, spec: AgentSpec, version: int, served: ModelHandle, kit: Kit, prompt: PromptVersion | None = None
    ) -> None:
        """`prompt`: the one that the spec names as its instructions."""
        self.name = spec.name
        self.version = version
        self.description = spec.description
        self._spec = spec
        self._served = served
        self._kit = kit
        self._prompt = PromptTemplates(spec, prompt)
        self.prompt = prompt.label if prompt is not None else ""

    async def run(self, ask: RunInput, journal: Journal) -> AsyncGenerator[Body | RunOutcome, None]:
        work = await self._begin(ask, journal)
        while True:
            step = await _next(work)
            if isinstance(step, RunOutcome):
                if step.limit:
                    metrics.limit(step.limit)
                yield step
                return
            async with aclosing(step) as bodies:
                async for body in bodies:
                    work.apply(body)
                    if type(body) is StepFinished:
                        metrics.step(body)
                    elif type(body) is VerdictGiven:
                        metrics.verdict(body)
                    yield body

    async def _begin(self, ask: RunInput, journal: Journal) -> Work:
        """Pick up where the recorded events end."""
        spec, kit = self._spec, self._kit
        toolbox = await self._tools(resumed=len(journal.events) > 1)
        _check_tools(spec, ask, toolbox)
        _check_collection(spec, ask)
        form = _form(spec, ask)
        work = Work(
            spec,
            self._served,
            kit,
            ask,
            journal,
            self._prompt,
            fold(journal.events),
            Clock(journal.events),
            form,
            checker(form),
            toolbox,
        )
        if len(journal.events) <= 1:
            work.filter()  # a run that would be refused when it searches is refused before it begins
        work.limit = recorded(spec.limits, work.state)
        journal.review(partial(review, work))
        return work

    async def _tools(self, *, resumed: bool) -> Toolbox:
        """The agent's tools. A run that is picked up waits for those that start when it does. Raises DomainErrors."""
        entries, toolboxes = self._spec.tool_entries, self._kit.toolboxes
        if not entries or toolboxes is None:
            return Toolbox([])
        give_up = time.monotonic() + (PATIENCE_SECONDS if resumed else 0)
        while True:
            try:
                return await toolboxes.open(entries)
            except DomainError as error:
                if error.kind is not ErrorKind.UNAVAILABLE or time.monotonic() >= give_up:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)


async def _next(work: Work) -> Bodies | RunOutcome:
    """What to do now."""
    state, spec = work.state, work.spec
    if state.open is not None:
        return await _again(work)
    if spec.approval.run and (refused := _run_approval(work)) is not None:
        return refused
    if spec.retrieval.mode == "always":
        if state.passages is None:
            return retrieve(work)
        if work.found is None:
            work.found = await search_again(work)
    if state.generations and state.reported != state.usage:
        return _one(state.usage)
    if state.pending:
        return call_tools(work)
    if state.callers:
        return work.outcome(FinishReason.TOOL_CALLS)
    return await _answer(work)


async def _answer(work: Work) -> Bodies | RunOutcome:
    """Have the answer written, checked, graded, and said."""
    state = work.state
    if state.draft is None:
        return await _ask_model(work)
    if work.said:
        if work.limit and not work.checker:
            return _say(work, _stopped(work), reason_of(work))
        return work.outcome(reason_of(work))
    if needs_grade(work):
        return grade(work)
    if (mending := await repair(work)) is not None:
        return mending
    work.said = True
    return finalize(work)


async def _ask_model(work: Work) -> Bodies | RunOutcome:
    state, spec = work.state, work.spec
    if spec.retrieval.required and not work.quotes and state.passages == ():
        return _say(work, declined(work.collections[0]), FinishReason.NO_ANSWER)
    if recalls(work):
        return remember(work)
    made = await _order(work)
    if made is not None:
        return generate(work, made)
    return _say(work, "" if work.checker else _stopped(work), FinishReason.LIMIT)


async def _order(work: Work) -> PromptPlan | None:
    """What to ask the model next: for its last words, once, where a limit is reached; None where it leaves none."""
    work.limit = work.limit or reached(work.spec.limits, work.state, work.clock.elapsed)
    if not work.limit:
        return await build_request(work, StepKind.GENERATE)
    if work.closing or not soft(work.limit):
        return None
    work.closing = True
    return await build_request(work, StepKind.GENERATE, (CLOSE,), tools=False)


async def _again(work: Work) -> Bodies:
    """Do the step again that was under way when the process died."""
    state = work.state
    assert state.open is not None  # noqa: S101 (that is why this is called)
    if state.open.kind is not StepKind.RETRIEVE and work.spec.retrieval.mode == "always" and work.found is None:
        work.found = await search_again(work)
    match state.open.kind:
        case StepKind.RETRIEVE:
            return retrieve(work)
        case StepKind.TOOLS:
            return call_tools(work)
        case StepKind.GRADE:
            return grade(work)
        case StepKind.REPAIR:
            draft = state.draft or StepFinished(0, StepKind.REPAIR)
            return await repair(work) or _close(work, draft.text, draft.finish)
        case StepKind.SUMMARISE:
            return remember(work)
        case _:
            await recall(work)
            made = await _order(work)
            return generate(work, made) if made is not None else _close(work, state.text[state.open.start :], "")


async def _close(work: Work, text: str, finish: str) -> Bodies:
    """End a step that cannot be done again, with what is known of it."""
    step = work.state.open
    assert step is not None  # noqa: S101 (it is what is ended)
    yield StepFinished(step.number, step.kind, work.handle.entry.name, text=text, finish=finish)


def _stopped(work: Work) -> str:
    return f"I stopped before I had an answer: the limit on {_NAMES.get(work.limit, 'tool calls')} was reached."


def _check_collection(spec: AgentSpec, ask: RunInput) -> None:
    """Raises InvalidArgument for a collection that the caller may not choose."""
    retrieval = spec.retrieval
    if ask.collection and not retrieval.caller_may_choose and ask.collection not in retrieval.collections:
        names = ", ".join(retrieval.collections)
        raise InvalidArgument(f"the agent {spec.name!r} reads its own collections only: {names}", field="collection")


def _check_tools(spec: AgentSpec, ask: RunInput, toolbox: Toolbox) -> None:
    """Raises InvalidArgument for a tool of the caller's that has the name of one of the agent's, and for a choice that
    cannot be made."""
    for tool in ask.tools:
        if tool.name in toolbox:
            raise InvalidArgument(f"the agent {spec.name!r} has a tool {tool.name!r} of its own", field="tools")
    check_choice(ask.tool_choice, [tool.name for tool in (*toolbox.declarations, *ask.tools)])


def _form(spec: AgentSpec, ask: RunInput) -> ResponseFormat:
    """The form of the answer: the caller's, then the agent's."""
    if ask.response_format is not None and ask.response_format.form is not Form.TEXT:
        return ask.response_format
    if spec.output.schema_ is not None:
        return ResponseFormat(Form.JSON_SCHEMA, spec.output.name, spec.output.schema_)
    return ResponseFormat()


def _run_approval(work: Work) -> Bodies | RunOutcome | None:
    """Ask for approval of the run, or act on a refusal; None once it is approved."""
    request = work.state.request(ApprovalKind.RUN)
    decision = work.state.decisions.get(request.approval_id) if request else None
    if decision is None:
        return _approve_run(work)
    if decision.approved:
        return None
    return _say(work, f"{REJECTED_RUN} {decision.comment}".strip(), FinishReason.REJECTED)


async def _approve_run(work: Work) -> Bodies:
    for request in ask_person(work, ApprovalKind.RUN, f"runs of the agent {work.spec.name!r} need approval"):
        yield request
    await decided(work, ApprovalKind.RUN)


def _say(work: Work, text: str, reason: FinishReason) -> Bodies | RunOutcome:
    """Say it, unless something was said, and end."""
    if text and not work.state.text:
        return _one(TextDelta(text))
    return work.outcome(reason)


async def _one(body: Body) -> Bodies:
    yield body
