"""Errors in JSON-RPC's form, as clients of MCP and A2A read them."""

from typing import Any

import mcp_types as types
import orjson

from services.runtime.errors import DomainError, ErrorKind
from services.runtime.statuses import cut

_CALLERS_FAULT = (ErrorKind.INVALID_ARGUMENT, ErrorKind.NOT_FOUND, ErrorKind.FAILED_PRECONDITION)


def error_json(error: DomainError) -> dict[str, Any]:
    """An error for programs."""
    told: dict[str, Any] = {"code": error.reason.lower(), "message": cut(error.message), **error.details}
    return told if error.retry_after is None else told | {"retry_after": error.retry_after}


def code_of(error: DomainError) -> int:
    """JSON-RPC's own number for it."""
    return types.INVALID_PARAMS if error.kind in _CALLERS_FAULT else types.INTERNAL_ERROR


def body(error: DomainError, request_id: Any = None) -> str:
    """The response to a request of this id; None where it is not known."""
    told = {"code": code_of(error), "message": cut(error.message), "data": error_json(error)}
    return orjson.dumps({"jsonrpc": "2.0", "id": request_id, "error": told}).decode()


def failure(error: DomainError, request_id: Any = None) -> bytes:
    """The event that ends a stream which has begun."""
    return b"event: message\ndata: " + body(error, request_id).encode() + b"\n\n"
