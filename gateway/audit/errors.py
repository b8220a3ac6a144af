"""What the audit cannot do."""

from services.runtime.errors import DomainError, ErrorKind


class NothingRecorded(DomainError):
    """There is no record yet whose end could be signed."""

    kind = ErrorKind.FAILED_PRECONDITION
    reason = "NOTHING_RECORDED"

    def __init__(self) -> None:
        super().__init__("there is no record in the audit yet, and so nothing to sign")
