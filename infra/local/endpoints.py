"""Tells control where the replicas are."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

import grpc
from headworks.control.v1 import control_service_pb2, control_service_pb2_grpc, topology_pb2

from infra.local.dial import Dial
from infra.local.ports import HOST
from infra.local.process import Process
from services.runtime.tls import BadCertificates

log = logging.getLogger(__name__)

Replicas = tuple[tuple[str, int, str], ...]
"""Each with its name, its gRPC port, and the Unix socket at which it serves HTTP, empty for none."""
LIMIT = 3.0
RETRY_SECONDS = 0.2


def wanted(processes: Iterable[Process]) -> dict[str, Replicas]:
    """The replicas of every published service that take calls.

    One that is gone, or does not answer, is left out, so that callers turn elsewhere, and connect anew at once when it
    is back.
    """
    services: dict[str, Replicas] = {}
    for process in processes:
        if process.spec.published:
            replica = process.spec.name, process.ports["grpc"], str(process.spec.http_socket or "")
            here = (replica,) if process.in_rotation else ()
            services[process.spec.service] = services.get(process.spec.service, ()) + here
    return services


def changes(wanted: Mapping[str, Replicas], told: Mapping[str, Replicas]) -> dict[str, Replicas]:
    """What control has to be told, given what it was told before."""
    return {service: replicas for service, replicas in wanted.items() if told.get(service) != replicas}


class Publisher:
    """Keeps control's topology true. `wake` it after each change; `forget` what it was told when it was restarted."""

    def __init__(self, control: Callable[[], str], current: Callable[[], dict[str, Replicas]], dial: Dial) -> None:
        self._control = control
        self._dial = dial
        self._current = current
        self._told: dict[str, Replicas] = {}
        self._changed = asyncio.Event()

    def wake(self) -> None:
        self._changed.set()

    def forget(self) -> None:
        self._told = {}
        self._changed.set()

    async def run(self) -> None:
        """Publish for ever; while control is gone, try again."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._publish()
            except (grpc.aio.AioRpcError, BadCertificates) as error:
                log.debug("control was not told: %s", error)
                self._changed.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def _publish(self) -> None:
        due = changes(self._current(), self._told)
        if not due:
            return
        async with self._dial.channel("control", self._control()) as channel:
            stub = control_service_pb2_grpc.ControlServiceStub(channel)
            for service, replicas in due.items():
                await stub.SetEndpoints(_request(service, replicas), timeout=LIMIT)
                self._told[service] = replicas


def _request(service: str, replicas: Replicas) -> control_service_pb2.SetEndpointsRequest:
    endpoints = [
        topology_pb2.Endpoint(replica=name, host=HOST, port=port, http_socket=socket) for name, port, socket in replicas
    ]
    return control_service_pb2.SetEndpointsRequest(service=service, endpoints=endpoints)
