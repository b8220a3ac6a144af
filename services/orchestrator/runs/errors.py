"""What can be wrong with a run that is asked for."""

from services.runtime.errors import CannotStart, DomainError, ErrorKind, Unavailable


class RunNotFound(DomainError):
    kind = ErrorKind.NOT_FOUND
    reason = "RUN_NOT_FOUND"

    def __init__(self, run_id: str) -> None:
        super().__init__(f"there is no run {run_id!r}", run_id=run_id)


class TooManyRuns(DomainError):
    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_RUNS"

    def __init__(self, running: int, limit: int) -> None:
        super().__init__(
            f"{running} runs are under way on this replica, of {limit} at most, and this tenant has its share of them; "
            "try again",
            limit=str(limit),
        )


class TooManyWaiting(DomainError):
    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_WAITING_RUNS"

    def __init__(self, waiting: int, limit: int) -> None:
        super().__init__(
            f"{waiting} runs wait for a person on this replica, of {limit} at most, and this tenant has its share of "
            "them; decide some, or cancel them",
            limit=str(limit),
        )


class ApprovalNotFound(DomainError):
    kind = ErrorKind.NOT_FOUND
    reason = "APPROVAL_NOT_FOUND"

    def __init__(self, run_id: str, approval_id: str) -> None:
        super().__init__(
            f"the run {run_id!r} waits for no approval {approval_id[:100]!r}",
            run_id=run_id,
            approval_id=approval_id[:100],
        )


class AlreadyDecided(DomainError):
    """Somebody else was first."""

    kind = ErrorKind.FAILED_PRECONDITION
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


class NotReviewable(Unavailable):
    """A replacement cannot be checked yet, as the run is just being taken up."""

    reason = "RUN_NOT_READY"

    def __init__(self, run_id: str) -> None:
        super().__init__(f"the run {run_id!r} is just being taken up; decide again in some seconds", run_id=run_id)


class IdentityRefused(DomainError):
    """The gateway does not let the run's caller in any more, so that the run cannot go on as that caller."""

    kind = ErrorKind.UNAUTHENTICATED
    reason = "RUN_IDENTITY_REFUSED"

    def __init__(self, why: str) -> None:
        super().__init__(f"the run cannot go on as its caller: {why}")


class IdentityUnavailable(Unavailable):
    """The gateway did not renew the run's identity before it ended."""

    reason = "RUN_IDENTITY_UNAVAILABLE"

    def __init__(self, why: str) -> None:
        super().__init__(f"the run cannot go on as its caller: the gateway did not renew its identity in time: {why}")


class RunMoved(Unavailable):
    """This replica was given up by the others; one of them has the run. Attach again, from the last event seen."""

    reason = "RUN_MOVED"

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"the run {run_id!r} is with another replica now: attach to it from the last event seen, or ask again",
            run_id=run_id,
        )


class OwnerGone(Unavailable):
    """The replica that has the run does not answer; another one takes the run up in some seconds."""

    reason = "OWNER_GONE"

    def __init__(self, run_id: str) -> None:
        super().__init__(f"the replica that has the run {run_id!r} is gone; try again in some seconds", run_id=run_id)


class SessionBusy(DomainError):
    kind = ErrorKind.FAILED_PRECONDITION
    reason = "SESSION_BUSY"

    def __init__(self, session_id: str, run_id: str) -> None:
        super().__init__(
            f"the run {run_id!r} of the session {session_id!r} is under way; one at a time",
            session_id=session_id,
            run_id=run_id,
        )


class SessionTaken(DomainError):
    """Somebody else's session has this id."""

    kind = ErrorKind.PERMISSION_DENIED
    reason = "SESSION_TAKEN"

    def __init__(self, session_id: str) -> None:
        super().__init__(
            f"the session {session_id!r} is another user's; name another one, or ask for sessions.others:write",
            session_id=session_id,
        )


class SessionNotFound(DomainError):
    kind = ErrorKind.NOT_FOUND
    reason = "SESSION_NOT_FOUND"

    def __init__(self, session_id: str) -> None:
        super().__init__(f"there is no session {session_id!r}", session_id=session_id)


class NameTaken(CannotStart):
    """Another replica of the same name lives."""

    def __init__(self, replica: str) -> None:
        super().__init__(
            f"another replica with the name {replica!r} is running on the database of "
            "HEADWORKS_ORCHESTRATOR_RECORDS_URL, such as that of a copy of this data directory: stop it; or give "
            "this one a name of its own with HEADWORKS_ORCHESTRATOR_REPLICA, if both are to serve one mesh; or a "
            "database of its own, if not"
        )
