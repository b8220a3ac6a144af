"""OpenAI's JSON errors at the edge.

Two sources. The gateway's own errors arrive as a gRPC status with the JSON in the metadata x-headworks-error; a script
makes it the body. Envoy's errors (no replica, no route, too large, too late) get theirs from a table. Callers who speak
gRPC see neither: they get a status.
"""

import json

from envoy.extensions.filters.http.lua.v3 import lua_pb2

from services.control.resources.wire import Data, typed

FILTER = "openai_errors"

# status -> message, type, code. OpenAI's own words where it has them.
ERRORS: dict[int, tuple[str, str, str]] = {
    400: ("The request is malformed.", "invalid_request_error", "bad_request"),
    401: ("The request has no valid API key.", "authentication_error", "invalid_api_key"),
    403: ("This is not allowed.", "permission_error", "permission_denied"),
    404: ("There is nothing at this path.", "invalid_request_error", "not_found"),
    408: ("The request was not received in time.", "timeout_error", "request_timeout"),
    409: ("The request conflicts with what is there.", "invalid_request_error", "conflict"),
    413: ("The body of the request is too large.", "invalid_request_error", "request_too_large"),
    415: ("The type of the body is not supported.", "invalid_request_error", "unsupported_media_type"),
    426: ("This protocol is not supported.", "invalid_request_error", "upgrade_required"),
    429: ("There are too many requests.", "rate_limit_error", "rate_limit_exceeded"),
    431: ("The headers of the request are too large.", "invalid_request_error", "headers_too_large"),
    499: ("The request was cancelled.", "invalid_request_error", "cancelled"),
    500: ("Something went wrong on this side.", "server_error", "internal_error"),
    501: ("This is not implemented.", "server_error", "not_implemented"),
    502: ("The service answered with something unusable.", "server_error", "bad_gateway"),
    503: ("The service is not available at the moment. Try again soon.", "server_error", "unavailable"),
    504: ("The request took too long.", "timeout_error", "timeout"),
}

_SCRIPT = """
local errors = {
%s
}

function envoy_on_response(handle)
  local headers = handle:headers()
  local status = headers:get(":status")
  local kind = headers:get("content-type") or ""
  local code = headers:get("grpc-status")
  -- Envoy's own errors have no gRPC status; what speaks gRPC has the status 200, its failures too.
  if code == nil or (status == "200" and string.sub(kind, 1, 16) == "application/grpc") then return end
  local body = headers:get("x-headworks-error")
  headers:remove("grpc-status")
  headers:remove("grpc-message")
  headers:remove("grpc-status-details-bin")
  headers:remove("x-headworks-error")
  if status == "200" then return end
  if body == nil or body == "" then body = errors[tonumber(status)] or errors[500] end
  handle:streamInfo():dynamicMetadata():set("headworks", "grpc_status", tonumber(code))
  headers:replace("content-type", "application/json")
  handle:body(true):setBytes(body)
end
"""

_WANTS_JSON: Data = {
    # What came as JSON looks like gRPC once it was transcoded, but for the header that the transcoder leaves.
    "or_filter": {
        "filters": [
            {
                "header_filter": {
                    "header": {
                        "name": "content-type",
                        "string_match": {"prefix": "application/grpc"},
                        "invert_match": True,
                        "treat_missing_header_as_empty": True,
                    }
                }
            },
            {"header_filter": {"header": {"name": "x-envoy-original-path", "present_match": True}}},
        ]
    }
}


def error_json(message: str, kind: str, code: str) -> Data:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def error_script() -> Data:
    """The filter that turns a failed gRPC answer into JSON. Answers that are well, and streams, it lets pass."""
    rows = "\n".join(f"  [{status}] = [==[{json.dumps(error_json(*row))}]==]," for status, row in ERRORS.items())
    return {
        "name": FILTER,
        "typed_config": typed(lua_pb2.Lua, default_source_code={"inline_string": _SCRIPT % rows}),
    }


def no_error_script() -> Data:
    """The same filter, off: for the routes of those who speak gRPC."""
    return typed(lua_pb2.LuaPerRoute, disabled=True)


def local_replies() -> Data:
    """What Envoy itself says when it, not the gateway, ends a request that is not gRPC."""
    return {"mappers": [_mapper(status, row) for status, row in ERRORS.items()]}


def _mapper(status: int, row: tuple[str, str, str]) -> Data:
    has_status = {"comparison": {"op": "EQ", "value": {"default_value": status, "runtime_key": "headworks.unused"}}}
    return {
        "filter": {"and_filter": {"filters": [{"status_code_filter": has_status}, _WANTS_JSON]}},
        "body_format_override": {"content_type": "application/json", "json_format": error_json(*row)},
    }
