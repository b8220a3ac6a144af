"""What the resources say, as a client that reads them would."""

import re
from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.buffer.v3 import buffer_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2

from gateway.faces.admin.assembly import SERVICES as SERVED
from services.control.edge import Edge
from services.control.resources import CDS, EDS, LDS, RDS, Resource, edge_resources, mesh_resources
from services.control.resources.listener import internal_headers
from services.control.resources.retries import ADMIN, HTTP_REPEATABLE, REPEATABLE, UNSERVED, retryable
from services.control.resources.routes import A2A, A2A_CARD, HTTP_PATHS, LIVE, MCP, PACKAGES, READY, RERANK, UPLOADS
from services.control.topology import SERVICES, Endpoint, Topology

ZERO = Endpoint("orchestrator-0", "127.0.0.1", 9000)
ONE = Endpoint("orchestrator-1", "::1", 9001)
TOPOLOGY = Topology().with_endpoints("orchestrator", [ZERO, ONE]).with_endpoints("triton", [])
MESSAGES = {
    CDS: cluster_pb2.Cluster,
    EDS: endpoint_pb2.ClusterLoadAssignment,
    LDS: listener_pb2.Listener,
    RDS: route_pb2.RouteConfiguration,
}


def found(resources: list[Resource], kind: str, name: str) -> Any:
    [one] = [one for one in resources if (one.type, one.name) == (kind, name)]
    message = MESSAGES[kind]()
    assert one.body.Unpack(message)
    return message


def manager(edge: Edge) -> Any:
    listener = found(edge_resources(Topology(), edge), LDS, "edge")
    message = http_connection_manager_pb2.HttpConnectionManager()
    assert listener.filter_chains[0].filters[1].typed_config.Unpack(message)
    return message


def edge_routes(edge: Edge | None = None) -> Any:
    return found(edge_resources(Topology(), edge or Edge()), RDS, "edge").virtual_hosts[0].routes


def route_for(path: str, **headers: str) -> Any:
    """The first route of the orchestrator's clients that matches, as a gRPC client would choose."""
    routes = found(mesh_resources(TOPOLOGY), RDS, "orchestrator").virtual_hosts[0].routes
    return next(route for route in routes if matches(route.match, path, headers))


def matches(match: route_components_pb2.RouteMatch, path: str, headers: dict[str, str]) -> bool:
    fits = match.path == path if match.path else path.startswith(match.prefix)
    for header in match.headers:
        value = headers.get(header.name.strip(":").replace("-", "_"))
        wanted = header.string_match
        begins = bool(wanted.prefix) and value is not None and value.startswith(wanted.prefix)
        fits = fits and value is not None and (header.present_match or value == wanted.exact or begins)
    return fits


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_every_service_can_be_dialled(service: str) -> None:
    resources = mesh_resources(TOPOLOGY)
    assert found(resources, LDS, service).HasField("api_listener")
    cluster = found(resources, CDS, service)
    assert cluster.eds_cluster_config.eds_config.HasField("ads")
    assert cluster.lb_policy == cluster_pb2.Cluster.ROUND_ROBIN
    assert cluster.outlier_detection.enforcing_success_rate.value == 0
    found(resources, RDS, service)


def test_endpoints_are_all_replicas_or_the_one() -> None:
    resources = mesh_resources(TOPOLOGY)

    def addresses(name: str) -> list[tuple[str, int]]:
        localities = found(resources, EDS, name).endpoints
        sockets = [one.endpoint.address.socket_address for locality in localities for one in locality.lb_endpoints]
        assert all(locality.load_balancing_weight.value for locality in localities)
        return [(socket.address, socket.port_value) for socket in sockets]

    assert addresses("orchestrator") == [("127.0.0.1", 9000), ("::1", 9001)]
    assert addresses("orchestrator/orchestrator-1") == [("::1", 9001)]
    assert addresses("triton") == []
    assert not [one for one in resources if (one.type, one.name) == (EDS, "gateway")]


RUN = "/headworks.orchestrator.v1.OrchestratorService/Run"
GET_RUN = "/headworks.orchestrator.v1.OrchestratorService/GetRun"


@pytest.mark.parametrize(
    ("path", "replica", "cluster", "retried"),
    [
        (RUN, None, "orchestrator", ""),
        (GET_RUN, None, "orchestrator", "unavailable"),
        (GET_RUN, "orchestrator-1", "orchestrator/orchestrator-1", ""),
        (RUN, "orchestrator-0", "orchestrator/orchestrator-0", ""),
    ],
)
def test_a_call_goes_to_any_replica_or_to_the_one_it_names(
    path: str, replica: str | None, cluster: str, retried: str
) -> None:
    route = route_for(path, **({"x_headworks_replica": replica} if replica else {}))
    assert route.route.cluster == cluster
    assert route.route.retry_policy.retry_on == retried


def test_a_replica_that_is_gone_is_nobody() -> None:
    assert route_for(RUN, x_headworks_replica="orchestrator-9").HasField("non_forwarding_action")


def test_what_may_be_repeated_is_what_the_protos_say() -> None:
    assert GET_RUN in retryable("orchestrator")
    assert RUN not in retryable("orchestrator")
    retrieval = "/headworks.retrieval.v1.RetrievalService/"
    assert retrieval + "Search" in retryable("retrieval")
    assert retrieval + "Ingest" not in retryable("retrieval")
    assert set(retryable("orchestrator")) | set(retryable("retrieval")) < set(retryable("gateway"))
    assert "/inference.GRPCInferenceService/ModelInfer" in retryable("triton")
    assert "/inference.GRPCInferenceService/ModelStreamInfer" not in retryable("triton")


def test_the_edge_leads_to_the_gateway_and_nowhere_else() -> None:
    resources = edge_resources(TOPOLOGY, Edge())
    assert [one.name for one in resources if one.type == CDS] == ["gateway", "gateway-http"]
    routes = edge_routes()
    alive = [route for route in routes if route.HasField("direct_response")]
    assert [(one.match.path, one.direct_response.status) for one in alive] == [(LIVE, 200)]
    assert {route.route.cluster for route in routes if route not in alive} == {"gateway", "gateway-http"}
    prefixes = [route.match.prefix for route in routes if route.match.prefix]
    assert sorted(prefixes) == sorted([*PACKAGES, *PACKAGES, HTTP_PATHS, HTTP_PATHS, HTTP_PATHS, A2A])
    assert not any("control" in route.match.path + route.match.prefix for route in routes)


@pytest.mark.parametrize(
    ("verb", "path", "retry_on"),
    [
        ("POST", "/v1/chat/completions", UNSERVED),
        ("POST", "/v1/embeddings", UNSERVED),
        ("POST", "/v2/rerank", UNSERVED),
        ("POST", "/mcp", UNSERVED),
        ("POST", "/a2a/rag", UNSERVED),
        ("GET", "/.well-known/agent-card.json", UNSERVED),
        ("GET", "/mcp", UNSERVED),
        ("POST", "/v1/files", UNSERVED),
        ("GET", "/v1/files", HTTP_REPEATABLE),
        ("GET", "/v1/models", HTTP_REPEATABLE),
        ("HEAD", "/v1/models", HTTP_REPEATABLE),
        ("POST", GET_RUN, REPEATABLE),
        ("POST", RUN, UNSERVED),
        ("GET", "/v1/admin/tenants", HTTP_REPEATABLE),
        ("POST", "/v1/admin/tenants", UNSERVED),
        ("DELETE", "/v1/admin/tenants/a", UNSERVED),
    ],
)
def test_edge_retries(verb: str, path: str, retry_on: str) -> None:
    headers = {"method": verb, "content_type": "application/grpc-web+proto"}
    route = next(one for one in edge_routes() if matches(one.match, path, headers))
    assert (route.route.cluster == "gateway-http") is path.startswith(
        ("/v1/", "/v2/", "/mcp", "/a2a/", "/.well-known/")
    )
    assert list(route.route.retry_policy.retriable_status_codes) == [503] * (retry_on == HTTP_REPEATABLE)
    assert route.route.retry_policy.retry_on == retry_on
    assert route.route.retry_policy.num_retries.value == 3
    assert len(route.route.retry_policy.retry_host_predicate) == 1


def test_what_is_no_grpc_does_not_reach_grpc() -> None:
    plain = {"method": "POST", "content_type": "application/json"}
    assert not [one for one in edge_routes() if matches(one.match, RUN, plain)]


@pytest.mark.parametrize(
    ("name", "removed"),
    [
        ("x-headworks-timeout", False), ("x-headworks-identity", True), ("x-headworks-replica", True),
        ("x-headworks-", True), ("x-headworks-time", True), ("x-headworks-timeouts", True),
        ("x-headworks-timeout-x", True), ("x-headworks-tamper", True), ("x-request-id", False), ("x-headworks", False),
    ],
)  # fmt: skip
def test_headers_of_the_mesh_but_for_one(name: str, removed: bool) -> None:
    assert bool(re.fullmatch(internal_headers("x-headworks-", "timeout"), name)) is removed


def test_the_edge_knows_every_service_of_administrators() -> None:
    assert {service.full_name for service in ADMIN} == {service.full_name for service in SERVED}


def test_http_has_limits_and_grpc_only_its_callers() -> None:
    for route in edge_routes(Edge(request_timeout=7, max_body_bytes=99)):
        if route.match.path in (LIVE, READY):
            continue
        if route.match.headers and route.match.headers[0].string_match.exact == "OPTIONS":
            continue
        limit = route.route.max_stream_duration
        is_http = route.match.prefix in (HTTP_PATHS, A2A) or route.match.path in (RERANK, UPLOADS, MCP, A2A_CARD)
        assert limit.max_stream_duration.ToSeconds() == 7 * is_http
        assert [one.header.value for one in route.request_headers_to_add] == ["7"] * is_http
        assert ("buffer" in route.typed_per_filter_config) is is_http
        assert route.route.idle_timeout.ToSeconds() == 300
        if is_http:
            body = buffer_pb2.BufferPerRoute()
            assert route.typed_per_filter_config["buffer"].Unpack(body)
            uploads = route.match.path == UPLOADS  # the gateway says how long they may be
            assert (body.disabled, body.buffer.max_request_bytes.value) == (uploads, 99 * (not uploads))


def test_where_gateways_serve_http() -> None:
    at_a_port = Endpoint("gateway-0", "10.0.0.1", 9000, http_port=9001)
    at_a_socket = Endpoint("gateway-1", "127.0.0.1", 9000, http_socket="/run/gateway-1.sock")
    neither = Endpoint("gateway-2", "127.0.0.1", 9002)
    topology = Topology().with_endpoints("gateway", [at_a_port, at_a_socket, neither])
    [locality] = found(edge_resources(topology, Edge()), EDS, "gateway-http").endpoints
    port, socket = locality.lb_endpoints
    assert port.endpoint.address.socket_address.port_value == 9001
    assert port.metadata.filter_metadata["envoy.transport_socket_match"]["tls"] is True
    assert socket.endpoint.address.pipe.path == "/run/gateway-1.sock"
    assert not socket.metadata.filter_metadata
    [locality] = found(edge_resources(topology, Edge()), EDS, "gateway").endpoints
    assert len(locality.lb_endpoints) == 3


def test_limits_are_where_envoy_looks_for_them() -> None:
    edge = Edge("0.0.0.0", 1234, max_body_bytes=99, max_header_kb=7, max_headers=11, max_streams_per_connection=13)
    hcm = manager(edge)
    assert hcm.max_request_headers_kb.value == 7
    assert hcm.common_http_protocol_options.max_headers_count.value == 11
    assert hcm.http2_protocol_options.max_concurrent_streams.value == 13
    address = found(edge_resources(Topology(), edge), LDS, "edge").address.socket_address
    assert (address.address, address.port_value) == ("0.0.0.0", 1234)
    assert [one.name for one in hcm.http_filters] == [
        "grpc_web", "cors", "buffer", "router",
    ]  # fmt: skip


def test_the_access_log_has_no_authorization() -> None:
    assert b"authorization" not in manager(Edge()).access_log[0].typed_config.value.lower()
    assert b"%GRPC_STATUS_NUMBER%" in manager(Edge()).access_log[0].typed_config.value


def test_gateways_know_the_edge_by_a_token() -> None:
    def added(edge: Edge) -> list[tuple[str, str]]:
        host = found(edge_resources(Topology(), edge), RDS, "edge").virtual_hosts[0]
        return [(one.header.key, one.header.value) for one in host.request_headers_to_add]

    assert added(Edge()) == []
    edge = Edge(token="t" * 32)
    assert added(edge) == [("x-headworks-edge", "t" * 32)]
    assert "ttt" not in repr(edge)
    assert re.fullmatch(internal_headers("x-headworks-", "timeout"), "x-headworks-edge")


def test_cors_is_off_unless_origins_are_set() -> None:
    def host(edge: Edge) -> Any:
        return found(edge_resources(Topology(), edge), RDS, "edge").virtual_hosts[0]

    policy = cors_pb2.CorsPolicy.FromString(
        host(Edge(cors_origins=("https://a.example",))).typed_per_filter_config["cors"].value
    )
    allowed = policy.allow_headers.split(", ")
    assert {"authorization", "x-api-key", "x-stainless-lang", "x-stainless-retry-count", "*"} <= set(allowed)
    assert {"x-request-id", "retry-after", "x-ratelimit-remaining-tokens"} <= set(policy.expose_headers.split(", "))
    assert "cors" not in host(Edge()).typed_per_filter_config
    assert b"https://a.example" in host(Edge(cors_origins=("https://a.example",))).typed_per_filter_config["cors"].value
