"""Errors in OpenAI's JSON form."""

import json

from services.llm.sse import DONE_EVENT
from services.runtime.errors import DomainError, ErrorKind, InvalidArgument
from services.runtime.statuses import cut

# Details that go into the JSON too, beside OpenAI's own fields.
BEYOND = ("run_id", "approval_id")

_TYPES = {
    ErrorKind.INVALID_ARGUMENT: "invalid_request_error",
    ErrorKind.NOT_FOUND: "invalid_request_error",
    ErrorKind.FAILED_PRECONDITION: "invalid_request_error",
    ErrorKind.UNAUTHENTICATED: "authentication_error",
    ErrorKind.PERMISSION_DENIED: "permission_error",
    ErrorKind.RESOURCE_EXHAUSTED: "rate_limit_error",
    ErrorKind.DEADLINE_EXCEEDED: "timeout_error",
}

_CODES = {"CONTEXT_TOO_LONG": "context_length_exceeded"}
# An upstream's own code is told in place of these.
_UPSTREAMS = ("UPSTREAM_REFUSED", "UPSTREAM_BUSY", "UPSTREAM_UNAVAILABLE")
_PARAMS = {"CONTEXT_TOO_LONG": "messages"}


class BadRequest(InvalidArgument):
    """A field of the JSON body is wrong. `param` is its path."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message, param=param)


def body(error: DomainError) -> str:
    """The JSON of an error, in ASCII."""
    fields = {
        "message": cut(error.message),
        "type": _TYPES.get(error.kind, "server_error"),
        "param": error.details.get("param") or error.details.get("field") or _PARAMS.get(error.reason),
        "code": _code(error),
    }
    beyond = {name: error.details[name] for name in BEYOND if name in error.details}
    return json.dumps({"error": fields | beyond})


def _code(error: DomainError) -> str:
    """In OpenAI's word where it has one; an upstream's own for what the upstream says of its refusal."""
    if error.kind is ErrorKind.UNAUTHENTICATED:
        return "invalid_api_key"
    if error.reason in _UPSTREAMS and (code := error.details.get("code")):
        return code
    return _CODES.get(error.reason) or error.reason.lower()


def failure(error: DomainError) -> bytes:
    """The events that end a stream which has begun: the error, and the mark of the end."""
    return b"data: " + body(error).encode() + b"\n\n" + DONE_EVENT
