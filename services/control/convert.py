"""Between the wire and the domain. Pure."""

from collections.abc import Iterable

from envoy.service.discovery.v3 import discovery_pb2
from headworks.control.v1 import topology_pb2

from services.control.ads import Request, Response
from services.control.plane import ENVOY, GRPC
from services.control.topology import SERVICES, Endpoint, Topology


def topology_to_pb(topology: Topology) -> topology_pb2.Topology:
    """Services and replicas in the order of their names."""
    services = [
        topology_pb2.ServiceEndpoints(service=name, endpoints=[endpoint_to_pb(one) for one in topology.endpoints(name)])
        for name in sorted(SERVICES)
    ]
    return topology_pb2.Topology(services=services, version=topology.version)


def endpoint_to_pb(endpoint: Endpoint) -> topology_pb2.Endpoint:
    return topology_pb2.Endpoint(
        replica=endpoint.replica, host=endpoint.host, port=endpoint.port,
        http_port=endpoint.http_port, http_socket=endpoint.http_socket,
    )  # fmt: skip


def endpoints_from_pb(endpoints: Iterable[topology_pb2.Endpoint]) -> list[Endpoint]:
    return [Endpoint(one.replica, one.host, one.port, one.http_port, one.http_socket) for one in endpoints]


def request_from_pb(request: discovery_pb2.DiscoveryRequest) -> Request:
    return Request(
        type=request.type_url,
        names=frozenset(request.resource_names),
        nonce=request.response_nonce,
        version=request.version_info,
        error=request.error_detail.message if request.HasField("error_detail") else None,
    )


def response_to_pb(response: Response) -> discovery_pb2.DiscoveryResponse:
    return discovery_pb2.DiscoveryResponse(
        version_info=response.version,
        type_url=response.type,
        nonce=response.nonce,
        resources=[one.body for one in response.resources],
    )


def client_kind(request: discovery_pb2.DiscoveryRequest) -> str:
    """Which snapshot a client is served: Envoy says that it is one; everything else is a gRPC client."""
    return ENVOY if request.node.user_agent_name == "envoy" else GRPC
