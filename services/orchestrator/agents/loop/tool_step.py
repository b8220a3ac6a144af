"""The step that runs the tools which the model called, side by side."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from services.orchestrator.agents.loop import screening
from services.orchestrator.agents.loop.approving import ask_person, decided
from services.orchestrator.agents.loop.limits import refusals
from services.orchestrator.agents.loop.work import Bodies, Work
from services.orchestrator.domain.event import (
    ApprovalDecided,
    ApprovalKind,
    StepFinished,
    StepKind,
    StepStarted,
    ToolResultReceived,
)
from services.orchestrator.domain.tool import Reason, ToolCall, ToolContext, ToolResult

INTERRUPTED = "Error: the process died during this call; whether it took effect is not known"
REFUSED = "Error: a person refused this call"


async def call_tools(work: Work) -> Bodies:
    """Run the calls that have no result. Calls that need a person's yes wait for it, after the others."""
    state = work.state
    resumed = state.open is not None
    if not resumed:
        yield StepStarted(state.steps + 1, StepKind.TOOLS)
    number = state.steps
    started = time.monotonic()
    calls = state.pending
    refused = refusals(work.spec.limits, _most(work, calls), state, calls)
    for call in calls:
        if call.id in refused:
            yield ToolResultReceived(_error(call, f"Error: {refused[call.id]}", Reason.LIMIT))
    calls = [call for call in calls if call.id not in refused]
    gated = [call for call in calls if _gated(work, call)]
    free = [call for call in calls if call not in gated]
    if resumed:
        for result in _interrupted(work, calls, gated):
            yield ToolResultReceived(result)
        free, gated = [[c for c in some if c.id not in state.results] for some in (free, gated)]
    async with aclosing(_side_by_side(work, free)) as results:
        async for result in results:
            yield ToolResultReceived(result)
    async with aclosing(_approved(work, gated)) as bodies:
        async for body in bodies:
            yield body
    for verdict in screening.noted(work):
        yield verdict
    took = time.monotonic() - started
    work.hops["tools"] += took
    yield StepFinished(number, StepKind.TOOLS, seconds=took, waited=took)


async def _approved(work: Work, calls: Sequence[ToolCall]) -> Bodies:
    """Ask a person about each call; run those approved, give the model the refusals."""
    for call in calls:
        for request in ask_person(work, ApprovalKind.TOOL_CALL, f"the tool {call.name!r} needs approval", call=call):
            yield request
    approved: list[ToolCall] = []
    for call in calls:
        decision = await decided(work, ApprovalKind.TOOL_CALL, call.id)
        if decision.approved:
            approved.append(work.state.calls[call.id].call)  # as the person has left it
        else:
            yield ToolResultReceived(_error(call, _refusal(decision), Reason.REFUSED))
    async with aclosing(_side_by_side(work, approved)) as results:
        async for result in results:
            yield ToolResultReceived(result)


async def _side_by_side(work: Work, calls: Sequence[ToolCall]) -> AsyncGenerator[ToolResult, None]:
    """The results as they come; those that come while the guards look at others go to them together."""
    if not calls:
        return
    slots = asyncio.Semaphore(work.spec.limits.parallel_tools)

    async def begin(call: ToolCall) -> None:
        work.state.apply(await work.journal.begin(call.id))

    async def one(call: ToolCall) -> ToolResult:
        journal = work.journal
        async with slots:
            context = ToolContext(
                journal.tenant,
                journal.run_id,
                call.id,
                work.collections,
                work.filter(),
                work.deadline,
                lambda: begin(call),
                work.spec.retrieval.rerank,
            )
            return await work.toolbox.call(call, context)

    tasks = {asyncio.create_task(one(call)) for call in calls}
    try:
        left = tasks
        while left:
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            for result in await screening.results(work, [task.result() for task in done]):
                yield result
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _interrupted(work: Work, calls: Sequence[ToolCall], gated: Sequence[ToolCall]) -> list[ToolResult]:
    """Of calls that may have been made when the process died: those that must not be made twice."""
    state, toolbox = work.state, work.toolbox
    return [
        _error(call, INTERRUPTED, Reason.INTERRUPTED)
        for call in calls
        if call.name in toolbox
        and not toolbox.idempotent(call.name)
        and (call not in gated or _is_approved(work, call))
        and state.may_have_been_made(call.id)
    ]


def _is_approved(work: Work, call: ToolCall) -> bool:
    request = work.state.request(ApprovalKind.TOOL_CALL, call.id)
    decision = work.state.decisions.get(request.approval_id) if request else None
    return decision is not None and decision.approved


def _gated(work: Work, call: ToolCall) -> bool:
    """A person must approve the call, and there is something to approve."""
    if call.name not in work.toolbox:
        return False
    wanted = call.name in work.spec.approval.tools or work.toolbox.policy(call.name).approval
    return wanted and work.toolbox.check(call) is None


def _most(work: Work, calls: Sequence[ToolCall]) -> dict[str, int]:
    """How often each tool may be called by its own setting."""
    policies = {call.name: work.toolbox.policy(call.name) for call in calls if call.name in work.toolbox}
    return {name: policy.max_calls for name, policy in policies.items() if policy.max_calls is not None}


def _refusal(decision: ApprovalDecided) -> str:
    return f"{REFUSED}: {decision.comment}" if decision.comment else REFUSED


def _error(call: ToolCall, content: str, reason: Reason) -> ToolResult:
    return ToolResult(call.id, call.name, content, is_error=True, error_reason=reason)
