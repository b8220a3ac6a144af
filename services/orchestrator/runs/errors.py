"""What can be wrong with a run that is asked for."""

from services.runtime.errors import DomainError, Kind


class RunNotFound(DomainError):
    kind = Kind.NOT_FOUND
    reason = "RUN_NOT_FOUND"

    def __init__(self, run_id: str) -> None:
        super().__init__(f"there is no run {run_id!r}", run_id=run_id)


class TooManyRuns(DomainError):
    kind = Kind.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_RUNS"

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} runs are under way on this replica, which is its limit; try again", limit=str(limit))


class ApprovalNotFound(DomainError):
    kind = Kind.NOT_FOUND
    reason = "APPROVAL_NOT_FOUND"

    def __init__(self, run_id: str, approval_id: str) -> None:
        super().__init__(
            f"the run {run_id!r} waits for no approval {approval_id[:100]!r}",
            run_id=run_id,
            approval_id=approval_id[:100],
        )


class AlreadyDecided(DomainError):
    """Somebody else was first."""

    kind = Kind.FAILED_PRECONDITION
    reason = "APPROVAL_DECIDED"

    def __init__(self, approval_id: str, approved: bool, decided_by: str) -> None:
        word = "approved" if approved else "refused"
        by = f"by {decided_by}" if decided_by else "when its time ran out"
        super().__init__(
            f"the approval {approval_id!r} was {word} already, {by}",
            approval_id=approval_id,
            approved=str(approved).lower(),
            decided_by=decided_by,
        )
