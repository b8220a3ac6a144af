"""Asks the edge whether it lets callers through to the gateway and the services behind it."""

import asyncio
import contextlib
import ssl
from dataclasses import dataclass
from pathlib import Path

from infra.local.ports import HOST
from infra.local.probes import answers, connect
from infra.local.spec import SILENT, Health, Ports

LIMIT = 3.0
READ_AT_MOST = 1 << 20
SERVER = "headworks"
"""What the edge calls itself in the header `server`: control names it so in the listener."""


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
        if live.status != 200:  # told by an operator to fail its health check it says 503
            return Health(False, "waits for control" if live.status else SILENT, alive=live.status != 0)
        if not _listens((await get(self._admin, "/listeners")).body, edge):
            why = f"has no listener at port {edge} (yet, or because another program has the port)"
            return Health(False, why, alive=False)
        if not await answers(edge):  # a drained listener stays in the list
            return Health(False, f"does not listen at port {edge} any more", alive=False)
        if self._passed_at == edge:
            return Health(True)
        found = await get(edge, "/v1/models", {"authorization": f"Bearer {self._key}"}, ca=self._ca)
        if found.status and found.server != SERVER:
            return Health(False, f"another program answers at port {edge}")
        if found.status != 200:
            return Health(False, f"a request through it gets {found.status or 'no answer'}")
        return Health(True)


def _listens(listeners: str, port: int) -> bool:
    """Whether Envoy's list of listeners, lines of NAME::ADDRESS:PORT, has the port."""
    return any("::" in line and line.endswith(f":{port}") for line in listeners.split())


@dataclass(frozen=True, slots=True)
class Answer:
    """To a GET; the body with what framing it came in. `status` is 0 where there was none."""

    status: int = 0
    server: str = ""
    body: str = ""


async def get(address: int | Path, path: str, headers: dict[str, str] | None = None, ca: Path | None = None) -> Answer:
    """From a port of this machine or a Unix socket; over TLS where `ca` says who signs certificates. Never raises."""
    host = HOST if isinstance(address, Path) else f"{HOST}:{address}"
    lines = [f"GET {path} HTTP/1.1", f"host: {host}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    try:
        async with asyncio.timeout(LIMIT):
            reader, writer = await connect(address, _trusting(ca) if ca else None)
            try:
                writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
                return _parse(await _read(reader))
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError):
        return Answer()


def _trusting(ca: Path) -> ssl.SSLContext:
    """Whatever host the certificate is for: the edge is asked by the machine's own address. Raises OSError."""
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = False
    return context


async def _read(reader: asyncio.StreamReader) -> str:
    """What comes until the other side closes, as far as anyone here looks."""
    found = b""
    while len(found) < READ_AT_MOST and (more := await reader.read(1 << 16)):
        found += more
    return found.decode("latin-1")


def _parse(text: str) -> Answer:
    head, _, body = text.partition("\r\n\r\n")
    first, *fields = head.split("\r\n")
    parts = first.split()
    if len(parts) < 2 or not parts[1].isdigit():
        return Answer()
    named = (field.partition(":") for field in fields)
    server = next((value.strip() for name, _, value in named if name.lower() == "server"), "")
    return Answer(int(parts[1]), server, body)
