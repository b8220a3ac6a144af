"""The errors of calls that guards have stopped before they began."""

from gateway.guard.finding import Finding
from services.runtime.errors import DomainError, ErrorKind


class ContentFiltered(DomainError):
    """A guard does not let pass what the caller sends."""

    kind = ErrorKind.INVALID_ARGUMENT
    reason = "CONTENT_FILTER"

    def __init__(self, found: Finding) -> None:
        why = f": {found.reason}" if found.reason else ""
        super().__init__(
            f"the guard {found.guard} does not let this pass ({found.category}{why})",
            guard=found.guard,
            category=found.category,
        )


class AgentChanged(DomainError):
    """Between the call's admission and its run the agent has got other models, for which nothing was decided."""

    kind = ErrorKind.ABORTED
    reason = "AGENT_CHANGED"

    def __init__(self, agent: str) -> None:
        super().__init__(f"the agent {agent!r} was changed a moment ago; ask again", agent=agent)


class Unscreenable(DomainError):
    """A field holds what guards cannot read, while one of them acts."""

    kind = ErrorKind.INVALID_ARGUMENT
    reason = "UNSCREENABLE"

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field} {why}, and the policy in force allows only what its guards can read", param=field)
