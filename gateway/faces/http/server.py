"""uvicorn in the process's own event loop: at a private Unix socket, or at a port, with mutual TLS as gRPC has it."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.faces.http.app import HttpFace
from gateway.faces.http.exchange import CONNECTION
from services.runtime import sockets
from services.runtime.tls import TlsFiles

log = logging.getLogger(__name__)

# Longer than Envoy keeps an idle connection: the one who asks closes it, so that no request meets a closed one.
IDLE_SECONDS = 3600
BACKLOG = 1024
NOTICE_SECONDS = 2.5
"""How long a health check is waited for that tells Envoy of the end, while Envoy has connections."""
LOOK_SECONDS = 0.02
FLUSH_SECONDS = 1.0
"""How long what was written to callers may take to go out, once their calls are over."""


class HeadWithBody:
    """A transport whose first write of a response waits for the second, so that the head goes out with the body or its
    first part: uvicorn writes them one by one, and each write wakes Envoy up."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head: bytes | None = None
        self.holds = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self.holds:
            self.holds, self._head = False, data
            return
        if self._head is not None:
            data, self._head = self._head + data, None
        self._transport.write(data)

    def flush(self) -> None:
        """Write what is held."""
        self.holds = False
        if self._head is not None:
            data, self._head = self._head, None
            self._transport.write(data)

    def close(self) -> None:
        self.flush()
        self._transport.close()


class Connection(HttpToolsProtocol):
    """One connection. Whoever leaves cancels the call that is served; `names` are the DNS names in the caller's
    certificate, None where there is no TLS."""

    task: "asyncio.Task[Any] | None" = None
    names: frozenset[str] | None = None
    writing: HeadWithBody

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        self.writing = HeadWithBody(transport)
        super().connection_made(cast(asyncio.Transport, self.writing))
        if transport.get_extra_info("sslcontext") is not None:
            certificate = transport.get_extra_info("peercert") or {}
            self.names = frozenset(name for kind, name in certificate.get("subjectAltName", ()) if kind == "DNS")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"][CONNECTION] = self

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.task is not None:
            self.task.cancel()


class HttpServer:
    """Serves `face` at a Unix `socket_path`, or at host and port; port 0 picks a free one."""

    def __init__(
        self, face: HttpFace, *, socket_path: Path | None = None, host: str = "127.0.0.1", port: int = 0,
        tls: TlsFiles | None = None,
    ) -> None:  # fmt: skip
        self._face = face
        self._socket_path = socket_path
        self._host, self._port = host, port
        self._tls = tls
        self._state = ServerState()
        self._server: asyncio.Server | None = None

    async def start(self, ready: Callable[[], bool], missing: Callable[[], Sequence[str]] = tuple) -> str:
        """Listen. Returns the address. Raises OSError, BadCertificates."""
        self._face.ready = ready
        self._face.missing = missing
        config = uvicorn.Config(
            self._face, interface="asgi3", lifespan="off", ws="none", http=Connection, log_config=None,
            access_log=False, proxy_headers=False, server_header=False, date_header=False,
            timeout_keep_alive=IDLE_SECONDS,
        )  # fmt: skip
        config.load()
        loop = asyncio.get_running_loop()

        def connection() -> asyncio.Protocol:
            return Connection(config, self._state, {}, loop)

        if self._socket_path is not None:
            made = _private_socket(self._socket_path)
            self._server = await loop.create_unix_server(connection, sock=made, backlog=BACKLOG)
            return sockets.target(self._socket_path)
        context = self._tls.server_context() if self._tls else None
        self._server = await loop.create_server(connection, self._host, self._port, ssl=context, backlog=BACKLOG)
        self._port = self._server.sockets[0].getsockname()[1]
        return f"{self._host}:{self._port}"

    async def stop(self, grace: float) -> None:
        """Take no more calls and let those under way finish, for `grace` seconds; then cancel them."""
        if self._server is None:
            return
        end = time.monotonic() + grace
        self._face.leaving = True
        await self._until(lambda: self._face.left or not self._state.connections, min(grace, NOTICE_SECONDS))
        self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if not await self._until(lambda: not self._state.connections and not self._state.tasks, end - time.monotonic()):
            for task in list(self._state.tasks):
                task.cancel()
            await asyncio.gather(*self._state.tasks, return_exceptions=True)
            await self._until(lambda: not self._state.connections, FLUSH_SECONDS)  # their last events go out
            for connection in list(self._state.connections):
                connection.transport.abort()

    async def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() >= end:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        return True


def _private_socket(path: Path) -> socket.socket:
    """A socket that its owner alone can connect to, in place of what a process before has left there."""
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX)
    with sockets.private():
        made.bind(str(path))
    return made
