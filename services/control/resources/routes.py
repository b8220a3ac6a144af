"""The edge's routes: the JSON paths of OpenAI and of administrators and the packages that callers may use, all to the
gateway; the rest is 404."""

from envoy.extensions.filters.http.cors.v3 import cors_pb2
from google.protobuf.descriptor import MethodDescriptor

from services.control.edge import Edge
from services.control.resources.errors import FILTER, no_error_script
from services.control.resources.retries import OPENAI, REPEATABLE, UNSERVED, elsewhere, retryable
from services.control.resources.transcoder import http_binding
from services.control.resources.wire import Data, seconds, typed
from services.control.topology import GATEWAY
from services.runtime.contract import may_retry

PACKAGES = ("/headworks.gateway.v1.", "/headworks.orchestrator.v1.", "/headworks.retrieval.v1.", "/grpc.")
"""What native gRPC callers reach: the public packages, and health and reflection of the gateway."""
ADMIN_PATHS = "/v1/admin/"


def routes(edge: Edge) -> Data:
    """Exact paths stand before prefixes, for the first match counts."""
    openai = sorted((_openai(edge, method) for method in OPENAI.methods), key=lambda route: "prefix" in route["match"])
    json_routes = [*openai, *_admin(edge)]
    repeatable = [_grpc(edge, {"path": path}, REPEATABLE) for path in retryable(GATEWAY)]
    others = [_grpc(edge, {"prefix": prefix}, UNSERVED) for prefix in PACKAGES]
    host: Data = {"name": "edge", "domains": ["*"], "routes": [*json_routes, *repeatable, *others]}
    if edge.cors_origins:
        host["typed_per_filter_config"] = {"cors": _cors(edge.cors_origins)}
    return {"name": "edge", "virtual_hosts": [host], "max_direct_response_body_size_bytes": 4096}


def _openai(edge: Edge, method: MethodDescriptor) -> Data:
    """One path of the OpenAI face."""
    _, template = http_binding(method)
    fixed, variable, _ = template.partition("{")
    match = {"prefix" if variable else "path": fixed}
    return _json(edge, match, REPEATABLE if may_retry(method) else UNSERVED)


def _admin(edge: Edge) -> list[Data]:
    """All paths of the administrators. Whatever is asked for with GET changes nothing."""
    reads = {"prefix": ADMIN_PATHS, "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]}
    return [_json(edge, reads, REPEATABLE), _json(edge, {"prefix": ADMIN_PATHS}, UNSERVED)]


def _json(edge: Edge, match: Data, retry_on: str) -> Data:
    """The gateway is told the time limit, which a caller may shorten, as grpc-timeout."""
    limit = seconds(edge.request_timeout)
    return {
        "match": match,
        "route": {
            "cluster": GATEWAY,
            "timeout": "0s",
            "idle_timeout": seconds(edge.idle_timeout),
            "max_stream_duration": {"max_stream_duration": limit, "grpc_timeout_header_max": limit},
            "retry_policy": elsewhere(retry_on),
        },
        "response_headers_to_remove": ["grpc-accept-encoding", "grpc-encoding"],
        "request_headers_to_add": [
            {
                "header": {"key": "grpc-timeout", "value": f"{int(edge.request_timeout * 1000)}m"},
                "append_action": "ADD_IF_ABSENT",
            }
        ],
    }


def _grpc(edge: Edge, match: Data, retry_on: str) -> Data:
    """Native gRPC and gRPC-Web. The gateway keeps to the caller's grpc-timeout: a second timer here would break off
    with INTERNAL what the gateway is about to end with DEADLINE_EXCEEDED. Otherwise only silence ends a stream."""
    return {
        "match": match,
        "route": {
            "cluster": GATEWAY,
            "timeout": "0s",
            "idle_timeout": seconds(edge.idle_timeout),
            "max_stream_duration": {"max_stream_duration": "0s"},
            "retry_policy": elsewhere(retry_on),
        },
        "typed_per_filter_config": {FILTER: no_error_script()},
    }


def _cors(origins: tuple[str, ...]) -> Data:
    anyone = "*" in origins
    matches = [{"prefix": ""}] if anyone else [{"exact": origin} for origin in origins]
    return typed(
        cors_pb2.CorsPolicy,
        allow_origin_string_match=matches,
        allow_methods="GET, POST, PUT, PATCH, DELETE, OPTIONS",
        allow_headers="authorization, content-type, x-request-id, x-grpc-web, x-user-agent, grpc-timeout",
        expose_headers="x-request-id, grpc-status, grpc-message, retry-after",
        max_age="3600",
    )
