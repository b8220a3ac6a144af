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
