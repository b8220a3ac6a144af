"""headworks.control.v1 on the wire."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import replace

from headworks.control.v1 import control_service_pb2 as pb
from headworks.control.v1 import control_service_pb2_grpc as pb_grpc

from services.control import convert
from services.control.plane import ControlPlane
from services.control.topology import Endpoint, is_ip
from services.runtime.errors import InvalidArgument
from services.runtime.interceptors.pipeline import Context

RESOLVE_SECONDS = 5.0


class ControlServicer(pb_grpc.ControlServiceServicer):
    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    async def GetTopology(self, request: pb.GetTopologyRequest, context: Context) -> pb.GetTopologyResponse:
        return pb.GetTopologyResponse(topology=convert.topology_to_pb(self._plane.topology))

    async def WatchTopology(
        self, request: pb.WatchTopologyRequest, context: Context
    ) -> AsyncIterator[pb.WatchTopologyResponse]:
        async with aclosing(self._plane.watch()) as topologies:
            async for topology in topologies:
                yield pb.WatchTopologyResponse(topology=convert.topology_to_pb(topology))

    async def SetEndpoints(self, request: pb.SetEndpointsRequest, context: Context) -> pb.SetEndpointsResponse:
        endpoints = await resolved(convert.endpoints_from_pb(request.endpoints))
        topology = self._plane.set_endpoints(request.service, endpoints)
        return pb.SetEndpointsResponse(topology=convert.topology_to_pb(topology))


async def resolved(endpoints: Iterable[Endpoint]) -> list[Endpoint]:
    """The endpoints with host names looked up, once, now: xDS clients take addresses only.

    Raises InvalidArgument for a name that leads nowhere.
    """
    return [one if is_ip(one.host) else replace(one, host=await _address(one)) for one in endpoints]


async def _address(endpoint: Endpoint) -> str:
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(endpoint.host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise InvalidArgument(
            f"host {endpoint.host!r} of {endpoint.replica!r} cannot be resolved", host=endpoint.host
        ) from error
    return str(min(found, key=lambda entry: (entry[0] != socket.AF_INET, entry[4][0]))[4][0])
