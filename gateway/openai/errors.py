"""Errors in OpenAI's JSON form, beside the gRPC status."""

import json
import math

from headworks.gateway.v1 import openai_service_pb2

from gateway.access.admin import ADMIN
from services.runtime.call import Call
from services.runtime.errors import DomainError, InvalidArgument, Kind
from services.runtime.interceptors.errors import Errors
from services.runtime.statuses import cut

ERROR_KEY = "x-headworks-error"
RETRY_KEY = "retry-after"
# The services that speak JSON through Envoy.
PREFIXES = (
    f"/{openai_service_pb2.DESCRIPTOR.services_by_name['OpenAIService'].full_name}/",
    *(f"/{service}/" for service in ADMIN),
)

# Details that go into the JSON too, beside OpenAI's own fields.
BEYOND = ("run_id", "approval_id")

_TYPES = {
    Kind.INVALID_ARGUMENT: "invalid_request_error",
    Kind.NOT_FOUND: "invalid_request_error",
    Kind.FAILED_PRECONDITION: "invalid_request_error",
    Kind.UNAUTHENTICATED: "authentication_error",
    Kind.PERMISSION_DENIED: "permission_error",
    Kind.RESOURCE_EXHAUSTED: "rate_limit_error",
    Kind.DEADLINE_EXCEEDED: "timeout_error",
}


class BadRequest(InvalidArgument):
    """A field of the JSON body is wrong. `param` is its path."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message, param=param)


def body(error: DomainError) -> str:
    """The JSON of an error, in ASCII."""
    code = "invalid_api_key" if error.kind is Kind.UNAUTHENTICATED else error.reason.lower()
    fields = {
        "message": cut(error.message),
        "type": _TYPES.get(error.kind, "server_error"),
        "param": error.details.get("param") or error.details.get("field"),
        "code": code,
    }
    beyond = {name: error.details[name] for name in BEYOND if name in error.details}
    return json.dumps({"error": fields | beyond})


class OpenAIErrors(Errors):
    """As everywhere; callers in JSON get OpenAI's form of it too."""

    def trailers(self, call: Call, error: DomainError) -> tuple[tuple[str, str | bytes], ...]:
        trailers = super().trailers(call, error)
        if not call.method.startswith(PREFIXES):
            return trailers
        wait = error.retry_after
        # Envoy turns trailers into headers; this one is in whole seconds.
        retry = () if wait is None else ((RETRY_KEY, str(max(1, math.ceil(wait)))),)
        headers = tuple(getattr(error, "headers", {}).items())
        return (*trailers, (ERROR_KEY, body(error)), *retry, *headers)
