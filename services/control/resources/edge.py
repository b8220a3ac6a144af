"""What Envoy is given: one listener for everything, routes to the gateway and nowhere else, its replicas, each
with its gRPC server and its HTTP server."""

from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2

from services.control.edge import Edge
from services.control.resources.endpoints import TLS_MATCH, assignment, http_assignment
from services.control.resources.listener import listener
from services.control.resources.routes import routes
from services.control.resources.tracing import collector_cluster
from services.control.resources.wire import ADS, CDS, LDS, RDS, Data, Resource, resource, seconds, typed
from services.control.tls import envoy_upstream
from services.control.topology import GATEWAY, GATEWAY_HTTP, Topology


def edge_resources(topology: Topology, edge: Edge) -> list[Resource]:
    """All that an Envoy at the edge needs. Endpoints that are not yet published are left out, as in the mesh; an Envoy
    that has none listens without them after a moment."""
    found = topology.endpoints(GATEWAY)
    replicas = [assignment(GATEWAY, found), http_assignment(GATEWAY_HTTP, found)] if topology.known(GATEWAY) else []
    return [
        resource(CDS, grpc_cluster(edge)),
        resource(CDS, http_cluster(edge)),
        *replicas,
        *collector_cluster(edge),
        resource(LDS, listener(edge)),
        resource(RDS, routes(edge)),
    ]


def grpc_cluster(edge: Edge) -> Data:
    """The replicas' gRPC servers."""
    options: Data = {
        "initial_stream_window_size": 1 << 20,
        "initial_connection_window_size": 4 << 20,
        "connection_keepalive": {"interval": "30s", "timeout": "5s"},
    }
    return {
        **_cluster(edge, GATEWAY, explicit_http_config={"http2_protocol_options": options}),
        "health_checks": [_health_check(edge, {"grpc_health_check": {}})],
        "circuit_breakers": {"thresholds": [_limits(edge, connections=1024)]},
        **({"transport_socket": envoy_upstream(edge.secrets, GATEWAY)} if edge.mutual and edge.secrets else {}),
    }


def http_cluster(edge: Edge) -> Data:
    """Their HTTP servers: a connection serves one request at a time. Envoy closes those that are idle, and never meets
    one that the gateway closes."""
    options: Data = {
        "explicit_http_config": {"http_protocol_options": {}},
        "common_http_protocol_options": {"idle_timeout": "60s"},
    }
    matches: Data = {}
    if edge.mutual and edge.secrets:
        tls = envoy_upstream(edge.secrets, GATEWAY, "http/1.1")
        matches = {"transport_socket_matches": [{"name": "tls", "match": TLS_MATCH, "transport_socket": tls}]}
    return {
        **_cluster(edge, GATEWAY_HTTP, **options),
        "health_checks": [_health_check(edge, {"http_health_check": {"path": "/healthz"}})],
        "circuit_breakers": {"thresholds": [_limits(edge, connections=edge.max_gateway_requests)]},
        **matches,
    }


def _cluster(edge: Edge, name: str, **protocol: Data) -> Data:
    """The gateway's replicas: checked, the one with the fewest requests first, left out for a while if they fail.

    With no healthy replica requests fail at once (panic threshold 0). News of a replica's health counts at once (merge
    window 0; by default Envoy gathers such news for a second). A replica that leaves the topology gets no new request
    and finishes those it has.
    """
    return {
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": ADS | {"initial_fetch_timeout": "1s"}},
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}, "update_merge_window": "0s"},
        "ignore_health_on_host_removal": True,
        "per_connection_buffer_limit_bytes": 1 << 20,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
                http_protocol_options_pb2.HttpProtocolOptions, **protocol
            )
        },
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_time": 30, "keepalive_interval": 10, "keepalive_probes": 3}
        },
        "outlier_detection": _outliers(edge),
    }


def _health_check(edge: Edge, how: Data) -> Data:
    """Of the whole server. Two misses leave a replica out, one answer takes it back."""
    return {
        **how,
        "timeout": "2s",
        "interval": seconds(edge.health_interval),
        "no_traffic_interval": seconds(edge.health_interval),
        "unhealthy_interval": seconds(edge.health_interval / 2),
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
    }


def _outliers(edge: Edge) -> Data:
    """A replica that only answers that it is unavailable is left out for a while, up to half of them: what ails all is
    further down. One that cannot be reached is the affair of the health checks, which notice its return at once."""
    return {
        "split_external_local_origin_errors": True,
        "enforcing_consecutive_local_origin_failure": 0,
        "consecutive_gateway_failure": 10,
        "enforcing_consecutive_gateway_failure": 100,
        "enforcing_consecutive_5xx": 0,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "interval": "1s",
        "base_ejection_time": seconds(edge.ejection_seconds),
        "max_ejection_time": seconds(edge.ejection_seconds * 12),
        "max_ejection_percent": 50,
        "successful_active_health_check_uneject_host": False,
    }


def _limits(edge: Edge, connections: int) -> Data:
    return {
        "max_connections": connections,
        "max_pending_requests": edge.max_gateway_requests,
        "max_requests": edge.max_gateway_requests,
        "retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 16},
        "track_remaining": True,
    }
