"""The edge's routes: its own health, HTTP below /v1/ and the packages that gRPC callers may use, all of these to the
gateway; else 404."""

from envoy.extensions.filters.http.buffer.v3 import buffer_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2

from services.control.edge import Edge
from services.control.resources.retries import HTTP_REPEATABLE, REPEATABLE, UNSERVED, elsewhere, retryable
from services.control.resources.wire import Data, seconds, typed
from services.control.topology import GATEWAY, GATEWAY_HTTP

PACKAGES = ("/headworks.gateway.v1.", "/headworks.orchestrator.v1.", "/headworks.retrieval.v1.", "/grpc.")
"""What native gRPC callers reach: the public packages, and health and reflection of the gateway."""
ALLOWED = (
    "authorization", "api-key", "x-api-key", "content-type", "x-request-id", "x-grpc-web", "x-user-agent",
    "grpc-timeout", "idempotency-key", "openai-organization", "openai-project", "openai-beta",
    "anthropic-version", "anthropic-beta", "anthropic-dangerous-direct-browser-access",
    "mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name", "last-event-id",
    "a2a-version", "a2a-extensions",
    *(
        f"x-stainless-{name}"
        for name in (
            "lang", "package-version", "os", "arch", "runtime", "runtime-version", "async", "retry-count", "timeout",
            "read-timeout", "helper", "helper-method", "raw-response", "stream-helper", "custom-poll-interval",
            "poll-helper",
        )
    ),
)  # fmt: skip
"""What pages may send. Browsers that know the wildcard take any other name too, but for `authorization`."""
EXPOSED = (
    "x-request-id", "request-id", "grpc-status", "grpc-message", "retry-after", "x-should-retry", "mcp-session-id",
    *(f"x-ratelimit-{word}-{unit}" for word in ("limit", "remaining", "reset") for unit in ("requests", "tokens")),
)  # fmt: skip
HTTP_PATHS = "/v1/"
MCP = "/mcp"
"""Where clients of the Model Context Protocol ask. A stream of its answer is silent while a tool works."""
A2A, A2A_CARD = "/a2a/", "/.well-known/agent-card.json"
"""Where agents of others ask agents, and look for the card of one."""
RERANK = "/v2/rerank"
"""Where clients of the second version of Cohere's API rerank."""
UPLOADS = "/v1/files"
"""Where bodies are passed on as they come, and the gateway says how long they may be."""
BUFFER = "buffer"
LIVE = "/healthz"
"""Whether Envoy is alive, which it says itself."""
READY = "/readyz"
"""Whether the mesh is ready, which a gateway says, and Envoy itself where there is none."""
TIMEOUT_KEY = "x-headworks-timeout"
"""The seconds that a caller of HTTP gives."""
EDGE_KEY = "x-headworks-edge"
"""The token by which gateways know what comes from Envoy."""


def routes(edge: Edge) -> Data:
    """HTTP below /v1/, where GET and HEAD change nothing; then gRPC, exact paths before prefixes, for the first match
    counts."""
    http = [_http(edge, _reading(verb), HTTP_REPEATABLE) for verb in ("GET", "HEAD")]
    http.append(_http(edge, {"path": UPLOADS}, UNSERVED, whole=False))
    http += [_http(edge, {"path": path}, UNSERVED) for path in (RERANK, MCP, A2A_CARD)]
    http.append(_http(edge, {"prefix": A2A}, UNSERVED))
    http.append(_http(edge, {"prefix": HTTP_PATHS}, UNSERVED))
    repeatable = [_grpc(edge, {"path": path}, REPEATABLE) for path in retryable(GATEWAY)]
    others = [_grpc(edge, {"prefix": prefix}, UNSERVED) for prefix in PACKAGES]
    asked = [_preflight(prefix) for prefix in PACKAGES]
    host: Data = {"name": "edge", "domains": ["*"], "routes": [*_health(), *http, *repeatable, *others, *asked]}
    if edge.token:
        header = {"key": EDGE_KEY, "value": edge.token}
        host["request_headers_to_add"] = [{"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]
    if edge.cors_origins:
        host["typed_per_filter_config"] = {"cors": _cors(edge.cors_origins)}
    return {"name": "edge", "virtual_hosts": [host], "max_direct_response_body_size_bytes": 4096}


def _health() -> list[Data]:
    """For load balancers and people, without a key. Nobody can wait on it for long, and where one gateway hangs another
    is asked as well: the first answer counts."""
    getting = [{"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}]
    alive: Data = {"status": 200, "body": {"inline_string": "ok\n"}}
    asked: Data = {
        "cluster": GATEWAY_HTTP,
        "timeout": "2s",
        "retry_policy": elsewhere(UNSERVED) | {"per_try_timeout": "0.4s"},
        "hedge_policy": {"hedge_on_per_try_timeout": True},
    }
    return [
        {"match": {"path": LIVE, "headers": getting}, "direct_response": alive},
        {
            "match": {"path": READY, "headers": getting},
            "route": asked,
            "response_headers_to_remove": ["x-envoy-immediate-health-check-fail"],
        },
    ]


def _reading(verb: str) -> Data:
    return {"prefix": HTTP_PATHS, "headers": [{"name": ":method", "string_match": {"exact": verb}}]}


def _http(edge: Edge, match: Data, retry_on: str, whole: bool = True) -> Data:
    """A body that is to be `whole` is read up to the limit before a gateway receives it; answers are streamed as they
    come. The gateway receives the time limit, which a caller may shorten. An answer that comes whole is silent until
    then."""
    body: Data = {"buffer": {"max_request_bytes": edge.max_body_bytes}} if whole else {"disabled": True}
    limit = {"key": TIMEOUT_KEY, "value": f"{edge.request_timeout:g}"}
    return {
        "match": match,
        "route": {
            "cluster": GATEWAY_HTTP,
            "timeout": "0s",
            "idle_timeout": seconds(max(edge.idle_timeout, edge.request_timeout)),
            "max_stream_duration": {"max_stream_duration": seconds(edge.request_timeout)},
            "retry_policy": elsewhere(retry_on),
        },
        "request_headers_to_add": [{"header": limit, "append_action": "ADD_IF_ABSENT"}],
        "response_headers_to_remove": ["x-envoy-immediate-health-check-fail"],
        "typed_per_filter_config": {BUFFER: typed(buffer_pb2.BufferPerRoute, **body)},
    }


def _grpc(edge: Edge, match: Data, retry_on: str) -> Data:
    """Native gRPC and gRPC-Web. The gateway keeps to the caller's grpc-timeout: a second timer here would break off
    with INTERNAL what the gateway is about to end with DEADLINE_EXCEEDED. Otherwise only silence ends a stream."""
    return {
        "match": match | {"headers": [{"name": "content-type", "string_match": {"prefix": "application/grpc"}}]},
        "route": {
            "cluster": GATEWAY,
            "timeout": "0s",
            "idle_timeout": seconds(edge.idle_timeout),
            "max_stream_duration": {"max_stream_duration": "0s"},
            "retry_policy": elsewhere(retry_on),
        },
    }


def _preflight(prefix: str) -> Data:
    """A browser's question before it calls by gRPC-Web: the CORS filter answers it; what it leaves is 404 over HTTP."""
    options = {"name": ":method", "string_match": {"exact": "OPTIONS"}}
    return {"match": {"prefix": prefix, "headers": [options]}, "route": {"cluster": GATEWAY_HTTP}}


def _cors(origins: tuple[str, ...]) -> Data:
    anyone = "*" in origins
    matches = [{"prefix": ""}] if anyone else [{"exact": origin} for origin in origins]
    return typed(
        cors_pb2.CorsPolicy,
        allow_origin_string_match=matches,
        allow_methods="GET, POST, PUT, PATCH, DELETE, OPTIONS",
        allow_headers=", ".join((*ALLOWED, TIMEOUT_KEY, "*")),
        expose_headers=", ".join(EXPOSED),
        max_age="3600",
    )
