"""Asking a person, and waiting for what they say."""

import time

from services.orchestrator.agents.loop.work import Work
from services.orchestrator.domain.event import ApprovalDecided, ApprovalKind, ApprovalRequested
from services.orchestrator.domain.tool import ToolCall


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
