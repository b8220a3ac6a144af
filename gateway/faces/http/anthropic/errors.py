"""Errors in Anthropic's JSON form."""

import orjson

from services.llm.openai.chunks import Json
from services.runtime.errors import DomainError, ErrorKind, InvalidArgument
from services.runtime.statuses import cut

_TYPES = {
    ErrorKind.INVALID_ARGUMENT: "invalid_request_error",
    ErrorKind.FAILED_PRECONDITION: "invalid_request_error",
    ErrorKind.NOT_FOUND: "not_found_error",
    ErrorKind.UNAUTHENTICATED: "authentication_error",
    ErrorKind.PERMISSION_DENIED: "permission_error",
    ErrorKind.RESOURCE_EXHAUSTED: "rate_limit_error",
    ErrorKind.DEADLINE_EXCEEDED: "timeout_error",
    ErrorKind.UNAVAILABLE: "overloaded_error",
}
_TYPES_OF_REASONS = {"REQUEST_TOO_LARGE": "request_too_large"}
NO_THREADS = "THREAD_UNSUPPORTED_REQUEST"
"""By what this says in an error's details, Anthropic's client sends the whole conversation from then on."""
# Beside Anthropic's own fields.
_BEYOND = ("run_id", "approval_id")


class NoThreads(InvalidArgument):
    """The conversation is to be held by the server."""

    reason = NO_THREADS

    def __init__(self) -> None:
        super().__init__("no conversation is held for this caller: send it whole, without `thread`", param="thread")


def body(error: DomainError, request_id: str = "") -> str:
    """The JSON of an error. What Anthropic's form has no place for stands under "headworks"."""
    kind = _TYPES_OF_REASONS.get(error.reason) or _TYPES.get(error.kind, "api_error")
    beyond = {"code": error.reason.lower(), **{name: error.details[name] for name in _BEYOND if name in error.details}}
    if param := error.details.get("param") or error.details.get("field"):
        beyond["param"] = param
    told: Json = {"type": kind, "message": _message(error), "headworks": beyond}
    if error.reason == NO_THREADS:
        told["details"] = {"error_code": NO_THREADS.lower(), "unsupported": ["thread"]}
    return orjson.dumps({"type": "error", "error": told, **({"request_id": request_id} if request_id else {})}).decode()


def headers(request_id: str) -> dict[str, str]:
    """By what name Anthropic's clients look for the request's id."""
    return {"request-id": request_id} if request_id else {}


def failure(error: DomainError) -> bytes:
    """The event that ends a stream which has begun."""
    return b"event: error\ndata: " + body(error).encode() + b"\n\n"


def _message(error: DomainError) -> str:
    """Of a prompt that is too long in Anthropic's words: by these coding agents know that they have to shorten it."""
    if error.reason != "CONTEXT_TOO_LONG":
        return cut(error.message)
    prompt, most, longest = (error.details.get(name) for name in ("prompt_tokens", "max_tokens", "context_length"))
    if error.details.get("param") == "max_tokens" and prompt and most and longest:
        return (
            f"input length and `max_tokens` exceed context limit: {prompt} + {most} > {longest}, decrease input length "
            "or `max_tokens` and try again"
        )
    if prompt and longest and int(prompt) > int(longest):
        return f"prompt is too long: {prompt} tokens > {longest} maximum"
    return cut(f"prompt is too long: {error.message}")
