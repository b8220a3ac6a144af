"""The error of a call that a guard has stopped before it began."""

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
