"""The approvals of one run: asked for once, decided once."""

import asyncio

from services.orchestrator.domain.event import ApprovalDecided, ApprovalRequested
from services.orchestrator.runs.errors import AlreadyDecided, ApprovalNotFound


class Approvals:
    """By id, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._requested: dict[str, ApprovalRequested] = {}
        self._decided: dict[str, ApprovalDecided] = {}
        self._changed = asyncio.Event()

    @property
    def pending(self) -> tuple[str, ...]:
        if len(self._decided) == len(self._requested):
            return ()
        return tuple(name for name in self._requested if name not in self._decided)

    def request(self, request: ApprovalRequested) -> None:
        self._requested[request.approval_id] = request

    def decide(self, decision: ApprovalDecided) -> None:
        self._decided[decision.approval_id] = decision
        self._changed.set()
        self._changed = asyncio.Event()

    def check(self, run_id: str, approval_id: str) -> None:
        """It can be decided. Raises ApprovalNotFound, or AlreadyDecided."""
        decision = self._decided.get(approval_id)
        if decision is not None:
            raise AlreadyDecided(decision.approval_id, decision.approved, decision.decided_by)
        if approval_id not in self._requested:
            raise ApprovalNotFound(run_id, approval_id)

    def decided(self, approval_id: str) -> ApprovalDecided | None:
        return self._decided.get(approval_id)

    def requested(self, approval_id: str) -> ApprovalRequested:
        """KeyError for one that was not asked for."""
        return self._requested[approval_id]

    def expires(self, approval_id: str) -> float | None:
        """KeyError for one that was not asked for."""
        return self._requested[approval_id].expires

    async def decision(self, approval_id: str) -> ApprovalDecided:
        """Wait until it is decided."""
        while approval_id not in self._decided:
            await self._changed.wait()
        return self._decided[approval_id]
