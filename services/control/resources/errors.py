"""OpenAI's JSON errors for what Envoy itself ends: no replica, no route, too large, too late. The gateway writes its
own; callers who speak gRPC get a status. All have an x-request-id."""

from services.control.edge import Edge
from services.control.resources.access_log import REQUEST_ID
from services.control.resources.wire import Data
from services.control.topology import GATEWAY

# status -> message, type, code. OpenAI's own words where it has them. A key, a conflict, a type of body and a rate are
# the gateway's to judge.
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
# The rest, by the lowest status that they are for.
OTHERS: dict[int, tuple[str, str, str]] = {
    500: ("Something went wrong on this side.", "server_error", "internal_error"),
    400: ("The request was refused.", "invalid_request_error", "bad_request"),
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

# Of a request whose headers could not be read Envoy knows no id.
_WITH_ID: Data = {
    "headers_to_add": [{"header": {"key": REQUEST_ID, "value": "%UNIQUE_ID%"}, "append_action": "ADD_IF_ABSENT"}]
}
# A stream that stood still, whichever status Envoy has for it.
_SILENT: Data = {"response_flag_filter": {"flags": ["SI"]}}


def error_json(message: str, kind: str, code: str) -> Data:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def local_replies(edge: Edge) -> Data:
    """What Envoy itself says when it, not the gateway, ends a request; only what is not gRPC has a body."""
    _, kind, code = ERRORS[504]
    late = (
        f"The request took longer than the {edge.request_timeout:g} seconds that the edge allows: the limit is set by "
        "HEADWORKS_CONTROL_REQUEST_TIMEOUT_SECONDS."
    )
    silent = (
        f"Nothing came or went for the {edge.idle_timeout:g} seconds that the edge allows: the limit is set by "
        "HEADWORKS_CONTROL_IDLE_TIMEOUT_SECONDS."
    )
    rows = {**ERRORS, 504: (late, kind, code)}
    known = [_mapper(_status("EQ", status), error_json(*row)) for status, row in rows.items()]
    others = [_mapper(_status("GE", status), error_json(*row)) for status, row in OTHERS.items()]
    rest = {"filter": _status("GE", 200), **_WITH_ID}
    return {"mappers": [*_unready(), _mapper(_SILENT, error_json(silent, kind, code)), *known, *others, rest]}


def _unready() -> list[Data]:
    """Where no gateway says whether the mesh is ready, it is not."""
    asked = {
        "header_filter": {"header": {"name": ":path", "string_match": {"safe_regex": {"regex": r"/readyz(\?.*)?"}}}}
    }
    body: Data = {"ready": False, "not_ready": [GATEWAY]}
    return [
        _mapper(_status("EQ", 503), body, asked),
        {**_mapper(_status("EQ", 504), body, asked), "status_code": 503},
    ]


def _mapper(which: Data, body: Data, *more: Data) -> Data:
    return {
        "filter": {"and_filter": {"filters": [which, _WANTS_JSON, *more]}},
        "body_format_override": {"content_type": "application/json", "json_format": body},
        **_WITH_ID,
    }


def _status(op: str, status: int) -> Data:
    value = {"default_value": status, "runtime_key": "headworks.unused"}
    return {"status_code_filter": {"comparison": {"op": op, "value": value}}}
