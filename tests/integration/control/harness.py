# ruff: noqa: N802 (the methods have the protos' names)
"""A small mesh for tests: control and Envoy as processes, gateway replicas in the test's own event loop."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health  # type: ignore[attr-defined]  # missing in its stubs
from headworks.control.v1 import control_service_pb2, control_service_pb2_grpc, topology_pb2
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc

from gateway.faces.http.app import HEALTH
from gateway.faces.http.exchange import CONNECTION, Exchange
from gateway.faces.http.message import EVENTS, JSON, Body, as_json
from gateway.faces.http.server import HttpServer
from infra.envoy import EnvoyBootstrap, envoy_argv, envoy_bootstrap, grpc_bootstrap, write_json
from services.runtime.tls import TlsFiles

Context = grpc.aio.ServicerContext[Any, Any]
LIMIT = 20.0
EDGE_TOKEN = "t0ken-" + "a" * 32


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def until(condition: Callable[[], bool], what: str, limit: float = LIMIT) -> None:
    """Wait until it holds. AssertionError, with what was waited for, if it does not in time."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f"not in {limit} s: {what}"
        time.sleep(0.02)


async def until_async(condition: Callable[[], bool], what: str, limit: float = LIMIT) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f"not in {limit} s: {what}"
        await asyncio.sleep(0.02)


class Ports(int):
    """The gRPC port of a gateway, and its HTTP port."""

    http: int

    def __new__(cls, port: int, http: int) -> "Ports":
        made = super().__new__(cls, port)
        made.http = http
        return made


def http_port(port: int) -> int:
    return port.http if isinstance(port, Ports) else 0


@contextmanager
def process(argv: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is gone at the end, whatever happens. Both its outputs are appended to `log`."""
    with log.open("ab") as output:
        child = subprocess.Popen(argv, stdout=output, stderr=output, env={**os.environ, **environment})
    try:
        yield child
    finally:
        child.kill()
        child.wait(10)


@dataclass
class Mesh:
    """Control and one Envoy. `control` is None while it is dead."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    control_port: int = field(default_factory=free_port)
    edge_port: int = field(default_factory=free_port)
    admin_port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        bootstrap = EnvoyBootstrap(self.control_address, self.admin_address)
        self.envoy_json = write_json(self.folder / "envoy.json", envoy_bootstrap(bootstrap))
        self.grpc_json = write_json(self.folder / "grpc.json", grpc_bootstrap(self.control_address, "test-client"))
        self.log = self.folder / "envoy.log"

    @property
    def control_address(self) -> tuple[str, int]:
        return "127.0.0.1", self.control_port

    @property
    def admin_address(self) -> tuple[str, int]:
        return "127.0.0.1", self.admin_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.edge_port}"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.edge_port}"

    @contextmanager
    def control(self) -> Iterator[subprocess.Popen[bytes]]:
        """A control that has begun to serve."""
        environment = {
            "PORT": str(self.control_port),
            "METRICS_PORT": str(self.metrics_port),
            "EDGE_PORT": str(self.edge_port),
            "STATE_FILE": str(self.folder / "topology.json"),
            "HEALTH_INTERVAL_SECONDS": "0.2",
            **self.settings,
        }
        prefixed = {f"HEADWORKS_CONTROL_{key}": value for key, value in environment.items()}
        with process([sys.executable, "-m", "services.control"], self.folder / "control.log", **prefixed) as child:
            until(lambda: listens(self.control_port) or child.poll() is not None, "control serves")
            assert child.poll() is None, (self.folder / "control.log").read_text()
            yield child

    @contextmanager
    def envoy(self) -> Iterator[subprocess.Popen[bytes]]:
        """An Envoy whose listener is there."""
        with process(envoy_argv(self.envoy_json), self.log) as child:
            until(lambda: listens(self.edge_port) or child.poll() is not None, "Envoy listens")
            assert child.poll() is None, self.log.read_text()
            yield child

    async def set_endpoints(self, service: str, ports: Mapping[str, int]) -> topology_pb2.Topology:
        endpoints = endpoints_of(ports)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.control_port}") as channel:
            stub = control_service_pb2_grpc.ControlServiceStub(channel)
            request = control_service_pb2.SetEndpointsRequest(service=service, endpoints=endpoints)
            response = await stub.SetEndpoints(request, timeout=5, wait_for_ready=True)
        return response.topology

    async def healthy(self, *ports: int) -> None:
        """Wait until Envoy has exactly these gateway replicas and finds them well."""
        end, found = time.monotonic() + LIMIT, None
        wanted = {*ports, *filter(None, map(http_port, ports))}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.admin_port}") as admin:
            while found != wanted:
                assert time.monotonic() < end, f"Envoy finds {found} well rather than {wanted}"
                found = _well((await admin.get("/clusters?format=json")).json())
                await asyncio.sleep(0.02)

    async def stats(self) -> dict[str, int]:
        """Envoy's counters and gauges."""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.admin_port}") as admin:
            text = (await admin.get("/stats")).text
        pairs = (line.rpartition(": ") for line in text.splitlines())
        return {name: int(value) for name, _, value in pairs if value.isdigit()}

    async def until_more(self, name: str, before: dict[str, int], more: int = 1) -> None:
        """Wait until Envoy has counted so many more of it than before."""
        async with asyncio.timeout(LIMIT):
            while (await self.stats())[name] < before[name] + more:
                await asyncio.sleep(0.05)

    def access_log(self) -> list[dict[str, Any]]:
        """The lines of Envoy's access log so far."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if "request_id" in line]


def _well(clusters: Any) -> set[int]:
    gateway = [one for one in clusters["cluster_statuses"] if one["name"] in ("gateway", "gateway-http")]
    hosts = [host for one in gateway for host in one.get("host_statuses", [])]
    well = [host for host in hosts if host["health_status"] == {"eds_health_status": "HEALTHY"}]
    return {host["address"]["socket_address"]["port_value"] for host in well}


def listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def kill9(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGKILL)
    child.wait(10)


def endpoints_of(ports: Mapping[str, int]) -> list[topology_pb2.Endpoint]:
    return [
        topology_pb2.Endpoint(replica=name, host="127.0.0.1", port=port, http_port=http_port(port))
        for name, port in ports.items()
    ]


Servicer: Any = pb_grpc.OrchestratorServiceServicer  # whose other methods nobody calls


class Gateway(Servicer):  # type: ignore[misc]
    """Does what the body's "do" says, and remembers what it was called with. Over gRPC it serves some methods of the
    orchestrator's."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[dict[str, str]] = []
        self.released = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.served = 0
        self.ready: Callable[[], bool] = lambda: True
        self.leaving = self.left = False
        self.hangs_at = b""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        exchange = Exchange(scope, receive, send)
        if exchange.path == HEALTH:
            await exchange.whole(200, Body("text/plain", b"ok"), {})
            return
        if exchange.path == self.hangs_at:
            await asyncio.Event().wait()
        self.served += 1
        self.seen.append(exchange.headers)
        scope["state"][CONNECTION].task = asyncio.current_task()
        body = await exchange.body(1 << 30) if exchange.verb == "POST" else b""
        await self.answer(exchange, body)

    async def answer(self, exchange: Exchange, body: bytes) -> None:
        asked = json.loads(body) if body else {}
        match asked.get("do"):
            case "fail":
                await fail(exchange, asked["status"])
            case "hang":
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    self.cancelled.set()
            case "stream":
                await exchange.write(Body(EVENTS, b"data: first\n\n"), {})
                await self.released.wait()
                await exchange.write(Body(EVENTS, b"data: second\n\n"), {})
                await exchange.write(Body(EVENTS, b"data: [DONE]\n\n"), {})
                await exchange.end()
            case _:
                await exchange.whole(200, as_json({"replica": self.name, "length": len(body)}), {})

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        self._note(context)
        return pb.ListModelsResponse(models=[pb.Model(id=self.name)])

    async def GetRun(self, request: pb.GetRunRequest, context: Context) -> pb.GetRunResponse:
        self._note(context)
        if request.run_id == "none":
            await context.abort(grpc.StatusCode.NOT_FOUND, "in words for gRPC", (("x-more", "a"),))
        if request.run_id == "hang":
            await asyncio.sleep(60)
        return pb.GetRunResponse()

    async def Run(self, request: pb.RunRequest, context: Context) -> AsyncIterator[pb.RunResponse]:
        self._note(context)
        for _ in range(3):
            yield pb.RunResponse()

    def _note(self, context: Context) -> None:
        self.served += 1
        self.seen.append({str(key): str(value) for key, value in context.invocation_metadata() or ()})


class Broken(Gateway):
    """Is well, by its health, and unavailable, by its answers."""

    async def answer(self, exchange: Exchange, body: bytes) -> None:
        await fail(exchange, 503)


class Flaky(Gateway):
    """Is unavailable as often as it is told."""

    def __init__(self, name: str, failures: int) -> None:
        super().__init__(name)
        self.failures = failures

    async def answer(self, exchange: Exchange, body: bytes) -> None:
        if self.served <= self.failures:
            await fail(exchange, 503)
        else:
            await super().answer(exchange, body)


async def fail(exchange: Exchange, status: int) -> None:
    """Answer as the gateway does: OpenAI's JSON, and when to try again."""
    await exchange.whole(status, Body(JSON, openai_error(status).encode()), {"retry-after": "7"})


def openai_error(status: int) -> str:
    return json.dumps({"error": {"message": f"caf\u00e9: {status}", "type": "t", "param": None, "code": str(status)}})


@asynccontextmanager
async def serving(gateway: Gateway, ports: Ports | None = None, tls: TlsFiles | None = None) -> AsyncIterator[Ports]:
    """The gateway behind real servers with health; yields their ports."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    pb_grpc.add_OrchestratorServiceServicer_to_server(gateway, server)
    healthy = health.HealthServicer()
    await healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    address = f"127.0.0.1:{ports or 0}"
    bound = server.add_secure_port(address, tls.server()) if tls else server.add_insecure_port(address)
    face: Any = gateway
    http = HttpServer(face, port=ports.http if ports else 0, tls=tls)
    await server.start()
    listening = await http.start(lambda: True)
    try:
        yield Ports(bound, int(listening.rpartition(":")[2]))
    finally:
        await asyncio.gather(server.stop(None), http.stop(0))
