"""What the services' own gRPC clients are given for xds:///NAME: a listener, its routes, the clusters they lead to.

A call goes to any replica in turn, or, with the metadata x-headworks-replica, to the one it names; with
x-headworks-replica-ordinal to one of them by number.
"""

from collections.abc import Iterator

from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2

from services.control.resources.endpoints import assignment
from services.control.resources.retries import GRPC_CLIENT, retry_policy, retryable
from services.control.resources.wire import ADS, CDS, LDS, RDS, Data, Resource, resource, typed
from services.control.tls import grpc_upstream
from services.control.topology import SERVICES, Endpoint, Topology
from services.runtime.call import ORDINAL_KEY, ORDINALS, REPLICA_KEY

OUTLIERS: Data = {
    # A replica that fails nearly everything is left out; one answer in a while that is an error is its callers' affair.
    "interval": "2s",
    "base_ejection_time": "5s",
    "max_ejection_time": "60s",
    "max_ejection_percent": 50,
    "enforcing_success_rate": 0,
    "failure_percentage_threshold": 90,
    "enforcing_failure_percentage": 100,
    "failure_percentage_minimum_hosts": 2,
    "failure_percentage_request_volume": 20,
}


def mesh_resources(topology: Topology, mutual: bool = False) -> list[Resource]:
    """The resources of every service; with `mutual`, clients call them by mutual TLS.

    The endpoints of a service that is not yet published are left out: clients wait for them, or keep those they have.
    """
    return [one for service in sorted(SERVICES) for one in _service(service, topology, mutual)]


def replica_cluster(service: str, replica: str) -> str:
    return f"{service}/{replica}"


def _service(service: str, topology: Topology, mutual: bool) -> Iterator[Resource]:
    endpoints = topology.endpoints(service)
    tls: Data = {"transport_socket": grpc_upstream(service)} if mutual else {}
    yield resource(LDS, _listener(service))
    yield resource(RDS, _routes(service, endpoints))
    yield resource(CDS, _cluster(service) | tls)
    if topology.known(service):
        yield assignment(service, endpoints)
    for one in endpoints:
        name = replica_cluster(service, one.replica)
        yield resource(CDS, _cluster(name) | tls)
        yield assignment(name, [one])


def _listener(service: str) -> Data:
    manager = typed(
        hcm_pb2.HttpConnectionManager,
        rds={"route_config_name": service, "config_source": ADS},
        http_filters=[{"name": "router", "typed_config": typed(router_pb2.Router)}],
    )
    return {"name": service, "api_listener": {"api_listener": manager}}


def _routes(service: str, endpoints: tuple[Endpoint, ...]) -> Data:
    """The replica that is asked for, or none where it is gone; else any, with retries where the method allows. Those by
    number are retried by who numbers."""
    named = [_replica_route(service, REPLICA_KEY, one.replica, one.replica) for one in endpoints]
    numbered = [
        _replica_route(service, ORDINAL_KEY, str(number), endpoints[number % len(endpoints)].replica)
        for number in (range(ORDINALS) if endpoints else ())
    ]
    gone = {
        "match": {"prefix": "", "headers": [{"name": REPLICA_KEY, "present_match": True}]},
        "non_forwarding_action": {},
    }
    retried = [
        {"match": {"path": path}, "route": {"cluster": service, "retry_policy": retry_policy(GRPC_CLIENT)}}
        for path in retryable(service)
    ]
    rest = {"match": {"prefix": ""}, "route": {"cluster": service}}
    return {
        "name": service,
        "virtual_hosts": [{"name": service, "domains": ["*"], "routes": [*named, gone, *numbered, *retried, rest]}],
    }


def _replica_route(service: str, key: str, value: str, replica: str) -> Data:
    header = {"name": key, "string_match": {"exact": value}}
    return {"match": {"prefix": "", "headers": [header]}, "route": {"cluster": replica_cluster(service, replica)}}


def _cluster(name: str) -> Data:
    return {
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": ADS},
        "lb_policy": "ROUND_ROBIN",
        "outlier_detection": OUTLIERS,
    }
