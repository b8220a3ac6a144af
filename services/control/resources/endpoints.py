"""Endpoints (EDS): which replicas a cluster has."""

from collections.abc import Iterable

from services.control.resources.wire import EDS, Data, Resource, resource
from services.control.topology import Endpoint

TLS_MATCH: Data = {"tls": True}
"""Marks the endpoints at ports, which speak TLS where the mesh does; Unix sockets never do."""


def http_assignment(cluster: str, endpoints: Iterable[Endpoint]) -> Resource:
    """Where the replicas serve HTTP; those that do not are left out."""
    return _assignment(cluster, [_http_member(one) for one in endpoints if one.http_socket or one.http_port])


def _http_member(endpoint: Endpoint) -> Data:
    if endpoint.http_socket:
        return {"endpoint": {"address": {"pipe": {"path": endpoint.http_socket}}}}
    metadata = {"filter_metadata": {"envoy.transport_socket_match": TLS_MATCH}}
    return _member(endpoint.host, endpoint.http_port) | {"metadata": metadata}


def assignment(cluster: str, endpoints: Iterable[Endpoint]) -> Resource:
    """All replicas in one locality, of equal weight. None at all is a cluster without endpoints, which is valid."""
    return _assignment(cluster, [_member(one.host, one.port) for one in endpoints])


def _member(host: str, port: int) -> Data:
    return {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}


def _assignment(cluster: str, members: list[Data]) -> Resource:
    localities = (
        [{"locality": {"zone": "mesh"}, "load_balancing_weight": 1, "lb_endpoints": members}] if members else []
    )
    return resource(EDS, {"cluster_name": cluster, "endpoints": localities})
