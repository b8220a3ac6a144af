"""The control plane's one state: the topology, and the snapshots made from it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from pathlib import Path

from services.control import metrics, state
from services.control.edge import Edge
from services.control.resources import Resource, edge_resources, mesh_resources
from services.control.snapshot import Cache, Inconsistent, Snapshot
from services.control.topology import GATEWAY, GATEWAY_HTTP, SERVICES, Endpoint, Topology
from services.runtime.errors import DomainError

log = logging.getLogger(__name__)

ENVOY = "envoy"
GRPC = "grpc"
Build = Callable[[Topology], Mapping[str, Iterable[Resource]]]


def builder(edge: Edge) -> Build:
    """The resources of each kind of client, as a function of the topology."""
    return lambda topology: {ENVOY: edge_resources(topology, edge), GRPC: mesh_resources(topology, edge.mutual)}


class ControlPlane:
    """Changes the topology, one step at a time: build, check, store, serve. A step that fails changes nothing."""

    def __init__(self, build: Build, cache: Cache, state_file: Path | None = None) -> None:
        self._build = build
        self._cache = cache
        self._state_file = state_file
        self._changed: set[asyncio.Event] = set()
        self.topology = state.load(state_file)
        self._serve(self.topology, self._snapshots(self.topology))

    def set_endpoints(self, service: str, endpoints: Iterable[Endpoint]) -> Topology:
        """The topology with the service's replicas replaced. InvalidArgument for replicas that cannot be."""
        topology = self.topology.with_endpoints(service, endpoints)
        if topology is not self.topology:
            snapshots = self._snapshots(topology)
            state.save(self._state_file, topology)
            self._serve(topology, snapshots)
            log.info("topology changed", extra={"version": topology.version, "changed_service": service})
        return topology

    async def watch(self) -> AsyncGenerator[Topology]:
        """The topology as it stands, then the newest after each change; a slow reader misses those in between."""
        changed = asyncio.Event()
        self._changed.add(changed)
        try:
            while True:
                changed.clear()
                yield self.topology
                await changed.wait()
        finally:
            self._changed.discard(changed)

    def _snapshots(self, topology: Topology) -> dict[str, Snapshot]:
        try:
            awaited = SERVICES - topology.services.keys()
            if GATEWAY in awaited:
                awaited |= {GATEWAY_HTTP}
            return {kind: Snapshot(resources, awaited) for kind, resources in self._build(topology).items()}
        except Inconsistent as error:
            metrics.REFUSED.inc()
            log.exception("snapshot refused", extra={"version": topology.version})
            raise DomainError("the topology makes no consistent snapshot; the last one stays") from error

    def _serve(self, topology: Topology, snapshots: Mapping[str, Snapshot]) -> None:
        self.topology = topology
        self._cache.set(snapshots)
        metrics.VERSION.set(topology.version)
        for service in SERVICES:
            metrics.REPLICAS.labels(service).set(len(topology.endpoints(service)))
        for changed in self._changed:
            changed.set()
