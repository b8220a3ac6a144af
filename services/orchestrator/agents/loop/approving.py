"""Asking a person, and waiting for what they say."""

import time
from dataclasses import replace

from services.orchestrator.agents.loop.work import Work
from services.orchestrator.domain.event import ApprovalDecided, ApprovalKind, ApprovalRequested
from services.orchestrator.domain.tool import ToolCall
from services.runtime.errors import InvalidArgument


def ask_person(
    work: Work, kind: ApprovalKind, reason: str, *, call: ToolCall | None = None, draft: str = ""
) -> list[ApprovalRequested]:
    """The request to yield; none where it was made before the process died."""
    if work.state.request(kind, call.id if call else "") is not None:
        return []
    expires = work.spec.approval.expires
    return [
        ApprovalRequested(
            f"apr_{len(work.state.requests) + 1}",
            kind,
            reason,
            call,
            draft,
            None if expires is None else time.time() + expires,
        )
    ]


def review(work: Work, request: ApprovalRequested, decision: ApprovalDecided) -> None:
    """Check what a person would have in place of what they approve. Raises InvalidArgument."""
    if not decision.replacement:
        return
    fault = _fault(work, request, decision.replacement)
    if fault:
        raise InvalidArgument(f"the replacement cannot be taken: {fault}", field="replacement")


def _fault(work: Work, request: ApprovalRequested, replacement: str) -> str:
    match request.kind:
        case ApprovalKind.TOOL_CALL if request.call is not None:
            failed = work.toolbox.check(replace(request.call, arguments_json=replacement))
            return failed.content.removeprefix("Error: ") if failed is not None else ""
        case ApprovalKind.ANSWER:
            return (work.checker.fault(replacement) or "") if work.checker is not None else ""
    return "a run is approved or refused as it is"


async def decided(work: Work, kind: ApprovalKind, call_id: str = "") -> ApprovalDecided:
    """Wait for the decision on what was asked. The wait is not the run's own time."""
    request = work.state.request(kind, call_id)
    assert request is not None  # noqa: S101 (it was asked just before)
    known = work.state.decisions.get(request.approval_id)
    if known is not None:
        return known
    started = time.monotonic()
    decision = await work.journal.decision(request.approval_id)
    work.clock.waited(time.monotonic() - started)
    work.state.apply(decision)
    return decision
