"""Domain errors, and the one map from them to gRPC status codes.

Domain code raises these and knows nothing of gRPC; the errors interceptor turns them into a status with a
google.rpc.ErrorInfo, whose reason is the word that programs may rely on.
"""

from enum import IntEnum
from typing import ClassVar, Self

FINAL = "final"
"""The detail of an error, "true", for which work was done that asking again would do again."""


class ErrorKind(IntEnum):
    """What kind of failure it is. The value is the gRPC status code that it becomes."""

    CANCELLED = 1
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


CANNOT_START = "cannot start: "
"""How a service's log says why it could not."""


class CannotStart(Exception):
    """A process must not start as things are; the message says why, and what to do."""


class DomainError(Exception):
    """A failure with a stable reason and a message that is safe to show to the caller.

    `details` are further facts for programs, such as the limit that was passed. `retry_after`: seconds after which
    trying again may help, where that is known. `said`: what of the message are a stranger's words, such as an
    upstream's. `begun`: it ends an answer that had begun.
    """

    kind: ClassVar[ErrorKind] = ErrorKind.INTERNAL
    reason: ClassVar[str] = "INTERNAL"
    retry_after: float | None = None
    said: str = ""
    begun: bool = False

    def __init__(self, message: str, /, **details: str) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def saying(self, said: str) -> Self:
        """This error, whose message has a stranger's words in it."""
        self.said = said
        return self

    def retry_in(self, seconds: float | None) -> Self:
        """This error, with the seconds after which trying again may help."""
        self.retry_after = seconds
        return self


class InvalidArgument(DomainError):
    kind = ErrorKind.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"


class Unauthenticated(DomainError):
    kind = ErrorKind.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class PermissionDenied(DomainError):
    kind = ErrorKind.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"


class DeadlineExceeded(DomainError):
    kind = ErrorKind.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"


class Unavailable(DomainError):
    """Something this call depends on is gone for now; trying again may help."""

    kind = ErrorKind.UNAVAILABLE
    reason = "UNAVAILABLE"


class CollectionNotFound(DomainError):
    kind = ErrorKind.NOT_FOUND
    reason = "COLLECTION_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no collection {name!r}", collection=name)


class ModelNotFound(DomainError):
    kind = ErrorKind.NOT_FOUND
    reason = "MODEL_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no model {name!r}", model=name)


class UpstreamError(DomainError):
    """A downstream service's own error, passed on with its kind and reason."""

    def __init__(self, kind: ErrorKind, reason: str, message: str, /, **details: str) -> None:
        super().__init__(message, **details)
        self.kind = kind  # type: ignore[misc]  # an instance carries what it was given
        self.reason = reason  # type: ignore[misc]
