"""In whose form a caller is told of an error: by the path, or by what only that provider's clients send."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.faces.http import rpc_errors
from gateway.faces.http.anthropic import errors as anthropic
from gateway.faces.http.openai import errors as openai
from services.runtime.errors import DomainError

ANTHROPIC_PATH = b"/v1/messages"
ANTHROPIC_HEADER = "anthropic-version"
RPC_PATHS = (b"/mcp", b"/a2a")


@dataclass(frozen=True, slots=True)
class ErrorForm:
    """`body` writes an error and the request's id as JSON, `headers` what goes with it."""

    body: Callable[[DomainError, str], str]
    headers: Callable[[str], dict[str, str]]


OPENAI = ErrorForm(lambda error, request_id: openai.body(error), lambda request_id: {})
ANTHROPIC = ErrorForm(anthropic.body, anthropic.headers)
JSON_RPC = ErrorForm(lambda error, request_id: rpc_errors.body(error), lambda request_id: {})


def form_of(path: bytes, headers: Mapping[str, str]) -> ErrorForm:
    """The form that the caller's client reads."""
    if path.startswith(RPC_PATHS):
        return JSON_RPC
    return ANTHROPIC if path.startswith(ANTHROPIC_PATH) or ANTHROPIC_HEADER in headers else OPENAI
