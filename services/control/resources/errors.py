"""OpenAI's JSON errors for what Envoy itself ends: no replica, no route, too large, too late. The gateway writes its
own; callers who speak gRPC get a status."""

from services.control.resources.wire import Data
from services.control.topology import GATEWAY

# status -> message, type, code. OpenAI's own words where it has them. Envoy and the edge's filters answer with no other
# error: a key, a conflict, a type of body and a rate are the gateway's to judge.
ERRORS: dict[int, tuple[str, str, str]] = {
    400: ("The request is malformed.", "invalid_request_error", "bad_request"),
    403: ("This is not allowed.", "permission_error", "permission_denied"),
    404: ("There is nothing at this path.", "invalid_request_error", "not_found"),
    408: ("The request was not received in time.", "timeout_error", "request_timeout"),
    413: ("The body of the request is too large.", "invalid_request_error", "request_too_large"),
    426: ("This protocol is not supported.", "invalid_request_error", "upgrade_required"),
    431: ("The headers of the request are too large.", "invalid_request_error", "headers_too_large"),
    500: ("Something went wrong on this side.", "server_error", "internal_error"),
    501: ("This is not implemented.", "server_error", "not_implemented"),
    502: ("The service answered with something unusable.", "server_error", "bad_gateway"),
    503: ("The service is not available at the moment. Try again soon.", "server_error", "unavailable"),
    504: ("The request took too long.", "timeout_error", "timeout"),
}

_WANTS_JSON: Data = {
    "header_filter": {
        "header": {
            "name": "content-type",
            "string_match": {"prefix": "application/grpc"},
            "invert_match": True,
            "treat_missing_header_as_empty": True,
        }
    }
}


def error_json(message: str, kind: str, code: str) -> Data:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def local_replies() -> Data:
    """What Envoy itself says when it, not the gateway, ends a request that is not gRPC. The first that fits counts."""
    return {"mappers": [*_unready(), *(_mapper(status, error_json(*row)) for status, row in ERRORS.items())]}


def _unready() -> list[Data]:
    """Where no gateway says whether the mesh is ready, it is not."""
    asked = {
        "header_filter": {"header": {"name": ":path", "string_match": {"safe_regex": {"regex": r"/readyz(\?.*)?"}}}}
    }
    body: Data = {"ready": False, "not_ready": [GATEWAY]}
    return [_mapper(503, body, asked), {**_mapper(504, body, asked), "status_code": 503}]


def _mapper(status: int, body: Data, *more: Data) -> Data:
    has_status = {"comparison": {"op": "EQ", "value": {"default_value": status, "runtime_key": "headworks.unused"}}}
    return {
        "filter": {"and_filter": {"filters": [{"status_code_filter": has_status}, _WANTS_JSON, *more]}},
        "body_format_override": {"content_type": "application/json", "json_format": body},
    }
