"""How the processes are asked whether they are ready."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from ssl import SSLContext

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from infra.local.dial import PLAIN, Dial
from infra.local.ports import HOST
from infra.local.spec import SILENT, Health, Ports
from services.runtime import sockets
from services.runtime.health import DEPENDENCY
from services.runtime.tls import BadCertificates, Stamp

LIMIT = 4.0
"""Seconds that a check may take: a service that is busy answers late."""
SERVING = health_pb2.HealthCheckResponse.SERVING


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(address: int | Path, ssl: SSLContext | None = None) -> Streams:
    """A connection to a port of this machine, or to a Unix socket. Raises OSError."""
    if isinstance(address, Path):
        return await asyncio.open_unix_connection(address)
    return await asyncio.open_connection(HOST, address, ssl=ssl)


async def answers(address: int | Path) -> bool:
    """Whether something accepts connections there."""
    try:
        async with asyncio.timeout(LIMIT):
            _, writer = await connect(address)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


class GrpcHealth:
    """Ready when the standard health service says so; if not, the dependencies that are not well say why.

    It is asked at the port "grpc", or at the Unix `socket`.
    """

    def __init__(
        self, dependencies: Sequence[str] = (), service: str = "", dial: Dial = PLAIN, socket: Path | None = None
    ) -> None:
        self._dependencies = dependencies
        self._service = service
        self._dial = dial
        self._socket = socket
        self._channel: grpc.aio.Channel | None = None
        self._opened: tuple[str, Stamp] = ("", ())

    async def check(self, ports: Ports) -> Health:
        try:
            stub = await self._stub(sockets.target(self._socket) if self._socket else f"{HOST}:{ports['grpc']}")
            if await _status(stub, "") == SERVING:
                return Health(True)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                # A handshake that fails says something of certificates: a new start would help nobody.
                return Health(False, SILENT, alive="handshake failed" in (error.details() or "").lower())
            return Health(False, f"its health service answers {error.code().name}")
        except BadCertificates as error:
            return Health(False, str(error))
        missing = [name for name in self._dependencies if await self._is_missing(stub, name)]
        return Health(False, f"waits for {', '.join(missing)}" if missing else "not serving yet")

    async def aclose(self) -> None:
        if self._channel is not None:
            await self._channel.close(None)
            self._channel = None

    async def _is_missing(self, stub: "health_pb2_grpc.HealthStub", name: str) -> bool:
        try:
            return bool(await _status(stub, f"{DEPENDENCY}{name}") != SERVING)
        except grpc.aio.AioRpcError:
            return False

    async def _stub(self, target: str) -> "health_pb2_grpc.HealthStub":
        wanted = target, self._dial.stamp()
        if self._channel is None or wanted != self._opened:
            await self.aclose()
            self._channel = self._dial.channel(self._service, target)
            self._opened = wanted
        return health_pb2_grpc.HealthStub(self._channel)


async def _status(stub: "health_pb2_grpc.HealthStub", name: str) -> int:
    response = await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=LIMIT)
    return int(response.status)
