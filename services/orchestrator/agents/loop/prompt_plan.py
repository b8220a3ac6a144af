"""What to ask the model next: the prompt, the tools, the form, and how much it may write."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from services.llm.chat import Choice, Message, ResponseFormat, Role, Sampling, ToolChoice, merge
from services.llm.generation import Generation
from services.orchestrator.agents.loop.limits import COST, TOKENS, room
from services.orchestrator.agents.loop.prompt import variables
from services.orchestrator.agents.loop.retrieving import question_of
from services.orchestrator.agents.loop.trimming import overflowing, upper_bound
from services.orchestrator.agents.loop.work import Work, sampling_of
from services.orchestrator.domain.event import ContextTrimmed, StepKind
from services.orchestrator.domain.tool import Declaration


@dataclass(frozen=True, slots=True)
class PromptPlan:
    """What a step asks for. `capped` names the limit that set max_tokens, if one did. `trimmed`: what has to be left
    out first; the plan that `again` makes after that is without it."""

    kind: StepKind
    generation: Generation
    again: Callable[[], Awaitable["PromptPlan | None"]]
    capped: str = ""
    trimmed: ContextTrimmed | None = None


async def build_request(
    work: Work, kind: StepKind, extra: Sequence[Message] = (), *, tools: bool = True
) -> PromptPlan | None:
    """What to ask the model next; None where the limits leave no room to ask, and then `work.limit` is set."""
    generation = _generation(work, extra, tools=tools and kind is StepKind.GENERATE)
    plan = PromptPlan(kind, generation, partial(build_request, work, kind, extra, tools=tools))
    if not work.quotes and (trimmed := await overflowing(work, generation)) is not None:
        return replace(plan, trimmed=trimmed)
    limits = work.spec.limits
    if limits.tokens is None and limits.cost is None:
        return plan
    entry = work.handle.entry
    wanted = generation.sampling.max_tokens or entry.sampling.max_tokens
    most = room(limits, work.state, entry, upper_bound(generation))
    if most is not None and (wanted is None or most < wanted):
        exact = await work.handle.generator.count(generation.messages, generation.tools)
        most = room(limits, work.state, entry, exact)
        if wanted is None and entry.context_length:
            wanted = entry.context_length - exact  # a cap beyond what the context leaves would be refused
    if most is None:
        return plan
    limit = TOKENS if limits.cost is None or _is_tokens(work, most) else COST
    if most <= 0:
        work.limit = limit
        return None
    if wanted is not None and wanted <= most:
        return plan
    capped = replace(generation, sampling=replace(generation.sampling, max_tokens=most))
    return replace(plan, generation=capped, capped=limit)


def _generation(work: Work, extra: Sequence[Message], *, tools: bool) -> Generation:
    ask, spec = work.ask, work.spec
    if work.quotes:
        question = Message(Role.USER, question_of(work))
        most = ask.max_sentences or spec.retrieval.max_sentences
        return Generation((question,), found=work.found, max_sentences=most, priority=ask.priority)
    began = work.journal.events[0].time
    given = variables(question_of(work), work.passages, work.journal.tenant, work.collections, spec.name, began)
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
    both = merge(work.ask.sampling, own)
    if own.max_tokens is not None and both.max_tokens is not None:
        return replace(both, max_tokens=min(own.max_tokens, both.max_tokens))
    return both


def _is_tokens(work: Work, most: int) -> bool:
    """The limit on tokens leaves no more than the one on cost."""
    limits = work.spec.limits.model_copy(update={"tokens": None})
    by_cost = room(limits, work.state, work.handle.entry, 0)
    return work.spec.limits.tokens is not None and (by_cost is None or most < by_cost)
