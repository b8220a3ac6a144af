"""Which services the mesh has and where their replicas are."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from services.runtime.errors import InvalidArgument

GATEWAY = "gateway"
GATEWAY_HTTP = "gateway-http"
"""The HTTP servers of the gateway's replicas: a cluster of Envoy's, not a service of its own."""
ORCHESTRATOR = "orchestrator"
RETRIEVAL = "retrieval"
TRITON = "triton"
SERVICES = frozenset({GATEWAY, ORCHESTRATOR, RETRIEVAL, TRITON})
MAX_REPLICAS = 1000
_SOCKET = re.compile(r"/[^\x00]{1,106}")
_REPLICA = re.compile(r"[a-z0-9]([a-z0-9._-]{0,126}[a-z0-9])?")


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One replica. `host` is an IP address: names are resolved before they come here. A gateway serves HTTP at
    `http_port` of the same host, or at the Unix socket `http_socket`, as Envoy sees it."""

    replica: str
    host: str
    port: int
    http_port: int = 0
    http_socket: str = ""

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Topology:
    """The replicas of the services that were published, each list ordered by name. `version` grows with each change.

    A service that is not yet published is not one without replicas: who has some, from before, may go on using them.
    """

    version: int = 0
    services: dict[str, tuple[Endpoint, ...]] = field(default_factory=dict)

    def known(self, service: str) -> bool:
        """Whether its replicas, or that it has none, were published."""
        return service in self.services

    def endpoints(self, service: str) -> tuple[Endpoint, ...]:
        return self.services.get(service, ())

    def with_endpoints(self, service: str, endpoints: Iterable[Endpoint]) -> "Topology":
        """This topology with the service's replicas replaced; itself, same version, where nothing changes.

        Raises InvalidArgument for a service the mesh does not know, a repeated or malformed replica name, a host that
        is no IP address and a port out of range.
        """
        if service not in SERVICES:
            raise InvalidArgument(
                f"the mesh has no service {service!r}; it has {', '.join(sorted(SERVICES))}", service=service
            )
        ordered = tuple(sorted(endpoints))
        check(ordered)
        if self.services.get(service) == ordered:
            return self
        return replace(self, version=self.version + 1, services={**self.services, service: ordered})


def check(endpoints: tuple[Endpoint, ...]) -> None:
    """Raise InvalidArgument unless these can be the replicas of one service."""
    if len(endpoints) > MAX_REPLICAS:
        raise InvalidArgument(f"{len(endpoints)} replicas are more than the {MAX_REPLICAS} a service may have")
    seen: set[str] = set()
    for endpoint in endpoints:
        if not _REPLICA.fullmatch(endpoint.replica):
            raise InvalidArgument(f"{endpoint.replica!r} is no replica name")
        if endpoint.replica in seen:
            raise InvalidArgument(f"replica {endpoint.replica!r} is there twice", replica=endpoint.replica)
        if not 1 <= endpoint.port <= 65535:
            raise InvalidArgument(f"port {endpoint.port} of {endpoint.replica!r} is out of range")
        if not 0 <= endpoint.http_port <= 65535:
            raise InvalidArgument(f"HTTP port {endpoint.http_port} of {endpoint.replica!r} is out of range")
        if endpoint.http_socket and not _SOCKET.fullmatch(endpoint.http_socket):
            raise InvalidArgument(f"{endpoint.http_socket!r} of {endpoint.replica!r} is no path of a Unix socket")
        if not is_ip(endpoint.host):
            raise InvalidArgument(f"{endpoint.host!r} of {endpoint.replica!r} is no IP address", host=endpoint.host)
        seen.add(endpoint.replica)


def is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
