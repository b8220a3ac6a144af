"""Endpoints (EDS): which replicas a cluster has."""

from collections.abc import Iterable

from services.control.resources.wire import EDS, Resource, resource
from services.control.topology import Endpoint


def assignment(cluster: str, endpoints: Iterable[Endpoint]) -> Resource:
    """All replicas in one locality, of equal weight. None at all is a cluster without endpoints, which is valid."""
    members = [
        {"endpoint": {"address": {"socket_address": {"address": one.host, "port_value": one.port}}}}
        for one in endpoints
    ]
    localities = (
        [{"locality": {"zone": "mesh"}, "load_balancing_weight": 1, "lb_endpoints": members}] if members else []
    )
    return resource(EDS, {"cluster_name": cluster, "endpoints": localities})
