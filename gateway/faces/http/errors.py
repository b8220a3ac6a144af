"""What only HTTP can refuse, and the status of every error."""

import math
from collections.abc import Iterable, Mapping
from typing import ClassVar

from services.runtime.errors import FINAL, DomainError, ErrorKind, InvalidArgument

STATUSES: Mapping[ErrorKind, int] = {
    ErrorKind.CANCELLED: 499,
    ErrorKind.INVALID_ARGUMENT: 400,
    ErrorKind.DEADLINE_EXCEEDED: 504,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.ALREADY_EXISTS: 409,
    ErrorKind.PERMISSION_DENIED: 403,
    ErrorKind.RESOURCE_EXHAUSTED: 429,
    ErrorKind.FAILED_PRECONDITION: 400,
    ErrorKind.ABORTED: 409,
    ErrorKind.INTERNAL: 500,
    ErrorKind.UNAVAILABLE: 503,
    ErrorKind.UNAUTHENTICATED: 401,
}

STATUSES_OF_REASONS: Mapping[str, int] = {"OUTPUT_INVALID": 422, "FILE_TOO_LARGE": 413}
"""Where the kind has a status that clients take for a reason to ask again."""
FINAL_REASONS = frozenset((
    "OUTPUT_INVALID", "APPROVAL_PENDING", "UPSTREAM_MISCONFIGURED", "UPSTREAM_TIMEOUT", "UPSTREAM_BROKEN",
))  # fmt: skip
"""For which asking again does the same work again, or no good."""
SOON_SECONDS = 60.0
"""What is to be tried again later than this is not for a client to wait for."""


ROUTE = "x-headworks-route"
CHALLENGE: Mapping[str, str] = {"www-authenticate": 'Bearer realm="headworks"'}


class HttpError(InvalidArgument):
    """An error whose status is its own; `headers` go out with it."""

    status: ClassVar[int] = 400

    def __init__(self, message: str, **headers: str) -> None:
        super().__init__(message)
        self.headers = headers


class NoSuchPath(HttpError):
    kind = ErrorKind.NOT_FOUND
    reason = "NOT_FOUND"
    status = 404

    def __init__(self) -> None:
        super().__init__("There is nothing at this path.")


class BadPath(HttpError):
    reason = "BAD_REQUEST"

    def __init__(self) -> None:
        super().__init__("The path is not valid UTF-8.")


class MethodNotAllowed(HttpError):
    reason = "METHOD_NOT_ALLOWED"
    status = 405

    def __init__(self, verb: str, allowed: Iterable[str]) -> None:
        allow = ", ".join(sorted(allowed))
        super().__init__(f"{verb} is not allowed here; allowed is {allow}", allow=allow)


class BodyTooLarge(HttpError):
    reason = "REQUEST_TOO_LARGE"
    status = 413

    def __init__(self) -> None:
        super().__init__("The body of the request is too large.", connection="close")


class UnsupportedType(HttpError):
    reason = "UNSUPPORTED_MEDIA_TYPE"
    status = 415


class TooManyCalls(DomainError):
    """More calls at once than one process serves."""

    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_CALLS"

    def __init__(self) -> None:
        super().__init__("this gateway serves as many calls as it may: try again soon")


def status_of(error: DomainError) -> int:
    if isinstance(error, HttpError):
        return error.status
    return STATUSES_OF_REASONS.get(error.reason) or STATUSES[error.kind]


def headers_of(error: DomainError) -> dict[str, str]:
    """The headers that an error goes out with: when to try again, in whole seconds, or that it is of no use, which
    OpenAI's clients obey; by what a caller is known; and its own."""
    wait = error.retry_after
    retry = {} if wait is None else {"retry-after": str(max(1, math.ceil(wait)))}
    final = error.reason in FINAL_REASONS or error.details.get(FINAL) == "true"
    if final or (wait is not None and wait > SOON_SECONDS):
        retry["x-should-retry"] = "false"
    route = error.details.get("route")
    told = {ROUTE: f"{route}; failed={error.details.get('attempts', '')}"} if route else {}
    known = CHALLENGE if error.kind is ErrorKind.UNAUTHENTICATED else {}
    return {**retry, **known, **told, **getattr(error, "headers", {})}
