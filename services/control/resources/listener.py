"""The edge listener: HTTP/1.1, HTTP/2, gRPC and gRPC-Web on one port, with or without TLS, with limits on all that a
stranger can send."""

from envoy.extensions.filters.http.buffer.v3 import buffer_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.grpc_web.v3 import grpc_web_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.connection_limit.v3 import connection_limit_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2
from envoy.extensions.request_id.uuid.v3 import uuid_pb2

from services.control.edge import Edge
from services.control.resources.access_log import REQUEST_ID, access_logs, request_id
from services.control.resources.errors import local_replies
from services.control.resources.routes import BUFFER, TIMEOUT_KEY
from services.control.resources.tracing import tracing
from services.control.resources.wire import ADS, Data, seconds, typed
from services.control.tls import downstream

OWN = "x-headworks-"
CHECKED_ID = f"{OWN}request-id"
NOWHERE: Data = {"cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]}


def listener(edge: Edge) -> Data:
    limit = typed(connection_limit_pb2.ConnectionLimit, stat_prefix="edge", max_connections=edge.max_connections)
    return {
        "name": "edge",
        "address": {"socket_address": {"address": edge.host, "port_value": edge.port}},
        "per_connection_buffer_limit_bytes": 1 << 20,
        "filter_chains": [
            {
                "filters": [
                    {"name": "connection_limit", "typed_config": limit},
                    {"name": "http_connection_manager", "typed_config": _manager(edge)},
                ],
                **_tls(edge),
            }
        ],
    }


def _tls(edge: Edge) -> Data:
    """A stranger who connects and says nothing holds a connection no longer than one who sends half a request."""
    if edge.secrets is None:
        return {}
    return {"transport_socket": downstream(edge.secrets), "transport_socket_connect_timeout": "10s"}


def _manager(edge: Edge) -> Data:
    return typed(
        hcm_pb2.HttpConnectionManager,
        codec_type="AUTO",
        stat_prefix="edge",
        rds={"route_config_name": "edge", "config_source": ADS},
        http_filters=_filters(edge),
        local_reply_config=local_replies(edge),
        access_log=access_logs(),
        server_name="headworks",
        **tracing(edge),
        **_request_ids(),
        **_hygiene(),
        **_limits(edge),
    )


def _filters(edge: Edge) -> list[Data]:
    """In the order a request meets them; a response meets them from the last to the first."""
    return [
        {"name": "grpc_web", "typed_config": typed(grpc_web_pb2.GrpcWeb)},
        {"name": "cors", "typed_config": typed(cors_pb2.Cors)},
        _buffer(edge),
        {"name": "router", "typed_config": typed(router_pb2.Router)},
    ]


def _buffer(edge: Edge) -> Data:
    """Off but for the routes that turn it on: gRPC's messages are streams."""
    config = typed(buffer_pb2.Buffer, max_request_bytes=edge.max_body_bytes)
    return {"name": BUFFER, "typed_config": config, "disabled": True}


def internal_headers(prefix: str, kept: str) -> str:
    """A regular expression for the names that begin with `prefix`, but for the one that goes on with `kept`: RE2 has no
    word for that but to say how they differ."""
    differing = [f"{kept[:at]}([^{letter}].*)?" for at, letter in enumerate(kept)]
    return f"{prefix}({'|'.join([*differing, f'{kept}.+'])})"


def _request_ids() -> Data:
    """The caller's x-request-id stays where it is one (see _hygiene); who sends none gets one; both find it in the
    response."""
    return {
        "generate_request_id": True,
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "request_id_extension": {"typed_config": _uuid()},
    }


def _uuid() -> Data:
    """What an id looks like decides nothing about traces."""
    return typed(uuid_pb2.UuidRequestIdConfig, pack_trace_reason=False, use_request_id_for_trace_sampling=False)


def _hygiene() -> Data:
    """No caller is internal, whatever its address; paths mean one thing only. Headers that only the mesh may set are
    removed before anything reads them, and an x-request-id that is free text."""
    removed: list[Data] = [
        {"prefix": "x-envoy-", "ignore_case": True},
        {"safe_regex": {"regex": internal_headers(OWN, TIMEOUT_KEY.removeprefix(OWN))}},
    ]
    strip = [{"remove_on_match": {"key_matcher": matcher}} for matcher in removed]
    mutation = typed(header_mutation_pb2.HeaderMutation, mutations=[*strip, *_checked_request_id()])
    return {
        "use_remote_address": True,
        "internal_address_config": NOWHERE,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "strip_any_host_port": True,
        "early_header_mutation_extensions": [{"name": "strip_internal", "typed_config": mutation}],
    }


def _checked_request_id() -> list[Data]:
    """Mutations can add a value that is not empty, and remove what is there: by way of a header of the mesh's own, of
    which the caller's are removed by then."""
    return [
        _set(CHECKED_ID, request_id()),
        {"remove": REQUEST_ID},
        _set(REQUEST_ID, f"%REQ({CHECKED_ID})%"),
        {"remove": CHECKED_ID},
    ]


def _set(name: str, value: str) -> Data:
    return {"append": {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}


def _limits(edge: Edge) -> Data:
    return {
        "max_request_headers_kb": edge.max_header_kb,
        "request_headers_timeout": "10s",
        "stream_idle_timeout": seconds(edge.idle_timeout),
        "common_http_protocol_options": {
            "idle_timeout": seconds(edge.idle_timeout),
            "max_headers_count": edge.max_headers,
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        # Proxies and health checks of others speak it, some without a host.
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "localhost"},
        "http2_protocol_options": {
            "max_concurrent_streams": edge.max_streams_per_connection,
            "initial_stream_window_size": 1 << 18,
            "initial_connection_window_size": 1 << 20,
            "connection_keepalive": {"interval": "60s", "timeout": "20s"},
        },
    }
