"""How the processes are asked whether they are ready."""

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
EDGE_LIMIT = 3.0
"""The same of a request to the edge."""
READ_AT_MOST = 1 << 20
SERVER = "headworks"
"""What the edge calls itself in the header `server`: control names it so in the listener."""
SERVING = health_pb2.HealthCheckResponse.SERVING
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(address: int | Path, context: ssl.SSLContext | None = None) -> Streams:
    """A connection to a port of this machine, or to a Unix socket. Raises OSError."""
    if isinstance(address, Path):
        return await asyncio.open_unix_connection(address)
    return await asyncio.open_connection(HOST, address, ssl=context)


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


class EdgeReady:
    """Ready when this mesh's Envoy says so, holds the edge port, and a request with the development key gets through.

    The request is made until it has succeeded, then Envoy's own word is enough: the processes behind it are watched
    one by one. One that no longer listens comes back by a new start only. Envoy lives on where another
    program has the edge port, and such a program may answer anything with 200: hence its list of listeners and the name
    in the answer. `admin` is the Unix socket of Envoy's admin interface. With `ca` the request is one over TLS.
    """

    def __init__(self, key: str, admin: Path, ca: Path | None = None) -> None:
        self._key = key
        self._admin = admin
        self._ca = ca
        self._passed_at = 0

    async def check(self, ports: Ports) -> Health:
        health = await self._check(ports["edge"])
        self._passed_at = ports["edge"] if health.ready else 0
        return health

    async def aclose(self) -> None:
        pass

    async def _check(self, edge: int) -> Health:
        live = await get(self._admin, "/ready")
        if live.status != 200:  # set by an operator to fail its health check it says 503
            return Health(False, "waits for control" if live.status else SILENT, alive=live.status != 0)
        if not _listens((await get(self._admin, "/listeners")).body, edge):
            why = f"has no listener at port {edge} (yet, or because another program has the port)"
            return Health(False, why, alive=False)
        if not await answers(edge):  # a drained listener stays in the list
            return Health(False, f"does not listen at port {edge} any more", alive=False)
        if self._passed_at == edge:
            return Health(True)
        answer = await get(edge, "/v1/models", {"authorization": f"Bearer {self._key}"}, ca=self._ca)
        if answer.status and answer.server != SERVER:
            return Health(False, f"another program answers at port {edge}")
        if answer.status != 200:
            return Health(False, f"a request through it gets {answer.status or 'no answer'}")
        return Health(True)


def _listens(listeners: str, port: int) -> bool:
    """Whether Envoy's list of listeners, lines of NAME::ADDRESS:PORT, has the port."""
    return any("::" in line and line.endswith(f":{port}") for line in listeners.split())


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """To a request; the body with what framing it came in. `status` is 0 where there was none."""

    status: int = 0
    server: str = ""
    body: str = ""


async def drain_edge(admin: Path) -> None:
    """Have the Envoy whose admin interface is at this socket take no new connections, and close those that it has once
    their requests are answered. One that does not answer is left as it is."""
    for path in ("/healthcheck/fail", "/drain_listeners"):
        if (await get(admin, path, verb="POST")).status != 200:
            return


async def get(
    address: int | Path, path: str, headers: dict[str, str] | None = None, ca: Path | None = None, verb: str = "GET"
) -> HttpAnswer:
    """From a port of this machine or a Unix socket; over TLS where `ca` says who signs certificates. Never raises."""
    host = HOST if isinstance(address, Path) else f"{HOST}:{address}"
    lines = [f"{verb} {path} HTTP/1.1", f"host: {host}", "connection: close", "content-length: 0"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    try:
        async with asyncio.timeout(EDGE_LIMIT):
            reader, writer = await connect(address, _trusting(ca) if ca else None)
            try:
                writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
                return _parse(await _read(reader))
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError):
        return HttpAnswer()


def _trusting(ca: Path) -> ssl.SSLContext:
    """Whatever host the certificate is for: the edge is asked by the machine's own address. Raises OSError."""
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = False
    return context


async def _read(reader: asyncio.StreamReader) -> str:
    """What comes until the other side closes, as far as anyone here looks."""
    text = b""
    while len(text) < READ_AT_MOST and (more := await reader.read(1 << 16)):
        text += more
    return text.decode("latin-1")


def _parse(text: str) -> HttpAnswer:
    head, _, body = text.partition("\r\n\r\n")
    first, *fields = head.split("\r\n")
    parts = first.split()
    if len(parts) < 2 or not parts[1].isdigit():
        return HttpAnswer()
    named = (field.partition(":") for field in fields)
    server = next((value.strip() for name, _, value in named if name.lower() == "server"), "")
    return HttpAnswer(int(parts[1]), server, body)
