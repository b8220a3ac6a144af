"""Where the replicas are: for control, which makes endpoints of them, and for Prometheus, as a file."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import grpc
from headworks.control.v1 import control_service_pb2, control_service_pb2_grpc, topology_pb2

from infra.local.dial import Dial
from infra.local.ports import HOST
from infra.local.process import Process
from services.runtime.tls import BadCertificates

log = logging.getLogger(__name__)

Replicas = tuple[tuple[str, int, str], ...]
"""Each with its name, its gRPC port, and the Unix socket at which it serves HTTP, empty for none."""
SUPERVISOR = "supervisor"
LIMIT = 3.0
RETRY_SECONDS = 0.2


def current_replicas(processes: Iterable[Process]) -> dict[str, Replicas]:
    """The replicas of every published service that take calls.

    One that is gone, or does not answer, is left out, so that callers turn elsewhere, and reconnect at once when it
    is back.
    """
    services: dict[str, Replicas] = {}
    for process in processes:
        if process.spec.published:
            replica = process.spec.replica_name, process.ports["grpc"], str(process.spec.http_socket or "")
            own = (replica,) if process.in_rotation else ()
            services[process.spec.service] = services.get(process.spec.service, ()) + own
    return services


def changes(current: Mapping[str, Replicas], published: Mapping[str, Replicas]) -> dict[str, Replicas]:
    """What is to be published, given what was published before."""
    return {service: replicas for service, replicas in current.items() if published.get(service) != replicas}


class Publisher:
    """Keeps control's topology true. `wake` it after each change; `forget` what was published when control has been
    restarted."""

    def __init__(self, control: Callable[[], str], current: Callable[[], dict[str, Replicas]], dial: Dial) -> None:
        self._control = control
        self._dial = dial
        self._current = current
        self._published: dict[str, Replicas] = {}
        self._changed = asyncio.Event()

    def wake(self) -> None:
        self._changed.set()

    def forget(self) -> None:
        self._published = {}
        self._changed.set()

    async def run(self) -> None:
        """Publish for ever; while control is gone, try again."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._publish()
            except (grpc.aio.AioRpcError, BadCertificates) as error:
                log.debug("endpoints were not published: %s", error)
                self._changed.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def _publish(self) -> None:
        changed = changes(self._current(), self._published)
        if not changed:
            return
        async with self._dial.channel("control", self._control()) as channel:
            stub = control_service_pb2_grpc.ControlServiceStub(channel)
            for service, replicas in changed.items():
                await stub.SetEndpoints(_request(service, replicas), timeout=LIMIT)
                self._published[service] = replicas


def _request(service: str, replicas: Replicas) -> control_service_pb2.SetEndpointsRequest:
    endpoints = [
        topology_pb2.Endpoint(replica=name, host=HOST, port=port, http_socket=socket) for name, port, socket in replicas
    ]
    return control_service_pb2.SetEndpointsRequest(service=service, endpoints=endpoints)


def prometheus_targets(processes: Iterable[Process], own: int = 0) -> list[dict[str, Any]]:
    """One entry for each process that has metrics; `own` is the port of the supervisor's, 0 for none."""
    supervisor = [_target(SUPERVISOR, SUPERVISOR, own, "/metrics")] if own else []
    return [
        _target(process.spec.service, process.spec.name, process.ports[port], path)
        for process in processes
        for port, path in (process.spec.metrics, *process.spec.more_metrics)
        if port in process.ports
    ] + supervisor


def _target(service: str, replica: str, port: int, path: str) -> dict[str, Any]:
    return {
        "targets": [f"{HOST}:{port}"],
        "labels": {"service": service, "replica": replica, "__metrics_path__": path},
    }


def write_targets(path: Path, processes: Iterable[Process], written: str, own: int = 0) -> str:
    """Replace the file for file_sd_configs at once, unless it holds this already; returns what it holds."""
    text = json.dumps(prometheus_targets(processes, own), indent=1) + "\n"
    if text != written:
        new = path.with_name(f".{path.name}.new")
        new.write_text(text, "utf-8")
        new.replace(path)
    return text
