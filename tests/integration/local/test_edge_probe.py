"""Whether the edge is ready, asked of real HTTP servers in Envoy's place."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, start_http_server

from infra.local.ports import pick
from infra.local.probes import EdgeReady
from infra.local.spec import Health


class Server(ThreadingHTTPServer):
    """At a port of the loopback interface, or at a Unix socket."""

    def __init__(self, address: Path | None, handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_UNIX if address else socket.AF_INET
        super().__init__(str(address) if address else ("127.0.0.1", 0), handler)  # type: ignore[arg-type]  # TCP only

    def server_bind(self) -> None:
        TCPServer.server_bind(self)


@dataclass
class Site:
    """A server that answers each path as told, else with 404."""

    name: str
    answers: dict[str, tuple[int, str]] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    port: int = 0
    socket: Path | None = None

    @contextlib.contextmanager
    def served(self) -> Iterator["Site"]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.keys.append(self.headers.get("authorization", ""))
                status, text = site.answers.get(self.path, (404, ""))
                self.send_response_only(status)
                self.send_header("Server", site.name)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                pass

            def address_string(self) -> str:
                return ""

        with Server(self.socket, Handler) as server:
            self.port = 0 if self.socket else server.server_address[1]
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


@dataclass
class Envoy:
    admin: Site
    edge: Site

    def listen(self, port: int) -> None:
        self.admin.answers["/listeners"] = (200, f"edge::127.0.0.1:{port}\n")

    def probe(self, key: str = "k") -> EdgeReady:
        assert self.admin.socket is not None
        return EdgeReady(key, self.admin.socket)

    async def ask(self, probe: EdgeReady, port: int = 0) -> Health:
        return await probe.check({"edge": port or self.edge.port})


@pytest.fixture
def envoy(tmp_path: Path) -> Iterator[Envoy]:
    with ExitStack() as stack:
        site = Site("envoy", {"/ready": (200, "LIVE\n")}, socket=tmp_path / "admin.sock")
        admin = stack.enter_context(site.served())
        edge = stack.enter_context(Site("headworks", {"/v1/models": (200, "{}")}).served())
        made = Envoy(admin, edge)
        made.listen(edge.port)
        yield made


async def test_ready_once_a_request_with_the_key_got_through(envoy: Envoy) -> None:
    probe = envoy.probe("the-key")
    assert await envoy.ask(probe) == Health(True)
    assert await envoy.ask(probe) == Health(True)
    assert envoy.edge.keys == ["Bearer the-key"]


@pytest.mark.parametrize("status", [401, 503])
async def test_not_ready_while_the_request_is_turned_away(envoy: Envoy, status: int) -> None:
    envoy.edge.answers["/v1/models"] = (status, "")
    assert await envoy.ask(envoy.probe()) == Health(False, f"a request through it gets {status}")


async def test_not_ready_where_envoy_has_no_listener_at_the_port(envoy: Envoy) -> None:
    for listeners in ("", f"edge::127.0.0.1:{envoy.edge.port}1\n", f"edge::127.0.0.1:1{envoy.edge.port}\n"):
        envoy.admin.answers["/listeners"] = (200, listeners)
        health = await envoy.ask(envoy.probe())
        assert not health.ready
        assert not health.alive
        assert f"no listener at port {envoy.edge.port}" in health.reason
    assert envoy.edge.keys == []


async def test_not_ready_where_another_program_answers(envoy: Envoy) -> None:
    """A metrics server answers any path with 200."""
    port = pick()
    server, thread = start_http_server(port, addr="127.0.0.1", registry=CollectorRegistry())
    try:
        envoy.listen(port)
        assert await envoy.ask(envoy.probe(), port) == Health(False, f"another program answers at port {port}")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_asked_anew_after_envoy_lost_its_listener(envoy: Envoy) -> None:
    probe = envoy.probe()
    assert (await envoy.ask(probe)).ready
    envoy.admin.answers["/listeners"] = (200, "")
    assert not (await envoy.ask(probe)).ready
    envoy.listen(envoy.edge.port)
    assert (await envoy.ask(probe)).ready
    assert len(envoy.edge.keys) == 2


async def test_not_ready_while_envoy_does_not_answer(envoy: Envoy, tmp_path: Path) -> None:
    envoy.admin.answers["/ready"] = (503, "INITIALIZING\n")
    assert await envoy.ask(envoy.probe()) == Health(False, "waits for control")
    gone = EdgeReady("k", tmp_path / "gone.sock")
    assert await gone.check({"edge": pick()}) == Health(False, "not answering yet", alive=False)
