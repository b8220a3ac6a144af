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
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
from google.api import httpbody_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health  # type: ignore[attr-defined]  # missing in its stubs
from headworks.control.v1 import control_service_pb2, control_service_pb2_grpc, topology_pb2
from headworks.gateway.v1 import openai_service_pb2 as pb
from headworks.gateway.v1 import openai_service_pb2_grpc as pb_grpc

from infra.envoy import EnvoyBootstrap, envoy_argv, envoy_bootstrap, grpc_bootstrap, write_json

Context = grpc.aio.ServicerContext[Any, Any]
LIMIT = 20.0


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

    async def set_endpoints(self, service: str, ports: dict[str, int]) -> topology_pb2.Topology:
        endpoints = [topology_pb2.Endpoint(replica=name, host="127.0.0.1", port=port) for name, port in ports.items()]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.control_port}") as channel:
            stub = control_service_pb2_grpc.ControlServiceStub(channel)
            request = control_service_pb2.SetEndpointsRequest(service=service, endpoints=endpoints)
            response = await stub.SetEndpoints(request, timeout=5, wait_for_ready=True)
        return response.topology

    async def healthy(self, *ports: int) -> None:
        """Wait until Envoy has exactly these gateway replicas and finds them well."""
        end, found = time.monotonic() + LIMIT, None
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.admin_port}") as admin:
            while found != set(ports):
                assert time.monotonic() < end, f"Envoy finds {found} well rather than {ports}"
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
    gateway = [one for one in clusters["cluster_statuses"] if one["name"] == "gateway"]
    hosts = [host for one in gateway for host in one.get("host_statuses", [])]
    well = [host for host in hosts if host["health_status"] == {"eds_health_status": "HEALTHY"}]
    return {host["address"]["socket_address"]["port_value"] for host in well}


def listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def kill9(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGKILL)
    child.wait(10)


class Gateway(pb_grpc.OpenAIServiceServicer):
    """Does what the body's "do" says, and remembers what it was called with."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[dict[str, str]] = []
        self.limits: list[float | None] = []
        self.released = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.served = 0

    def _note(self, context: Context) -> None:
        self.served += 1
        self.seen.append({str(key): str(value) for key, value in context.invocation_metadata() or ()})
        self.limits.append(context.time_remaining())

    async def CreateChatCompletion(
        self, request: httpbody_pb2.HttpBody, context: Context
    ) -> AsyncIterator[httpbody_pb2.HttpBody]:
        self._note(context)
        asked = json.loads(request.data)
        match asked.get("do"):
            case "fail":
                await fail(context, asked["status"])
            case "crash":
                await context.abort(grpc.StatusCode.UNKNOWN, "a traceback")
            case "hang":
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    self.cancelled.set()
                    raise
            case "stream":
                yield event(b"data: first\n\n")
                await self.released.wait()
                yield event(b"data: second\n\n")
                yield event(b"data: [DONE]\n\n")
            case _:
                yield json_body({"replica": self.name, "length": len(request.data)})

    async def CreateEmbedding(self, request: httpbody_pb2.HttpBody, context: Context) -> httpbody_pb2.HttpBody:
        self._note(context)
        asked = json.loads(request.data)
        if asked.get("do") == "fail":
            await fail(context, asked["status"])
        return json_body({"replica": self.name})

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> httpbody_pb2.HttpBody:
        self._note(context)
        return json_body({"replica": self.name})

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> httpbody_pb2.HttpBody:
        self._note(context)
        if request.model == "none":
            await fail(context, "NOT_FOUND")
        if request.model == "hang":
            await asyncio.sleep(60)
        return json_body({"model": request.model})


class Broken(Gateway):
    """Is well, by its health, and unavailable, by its answers."""

    async def CreateChatCompletion(
        self, request: httpbody_pb2.HttpBody, context: Context
    ) -> AsyncIterator[httpbody_pb2.HttpBody]:
        self._note(context)
        await fail(context, "UNAVAILABLE")
        yield json_body({})


class Flaky(Gateway):
    """Answers UNAVAILABLE, before any message, as often as it is told."""

    def __init__(self, name: str, failures: int) -> None:
        super().__init__(name)
        self.failures = failures

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> httpbody_pb2.HttpBody:
        self._note(context)
        if self.served <= self.failures:
            await fail(context, "UNAVAILABLE")
        return json_body({"replica": self.name})


async def fail(context: Context, status: str) -> None:
    """End the call as the gateway does: a status, and OpenAI's JSON in the trailing metadata."""
    trailing = (("x-headworks-error", openai_error(status)), ("retry-after", "7"))
    await context.abort(grpc.StatusCode[status], "in words for gRPC", trailing)


def openai_error(status: str) -> str:
    return json.dumps(
        {"error": {"message": f"caf\u00e9: {status}", "type": "t", "param": None, "code": status.lower()}}
    )


def event(data: bytes) -> httpbody_pb2.HttpBody:
    return httpbody_pb2.HttpBody(content_type="text/event-stream", data=data)


def json_body(value: object) -> httpbody_pb2.HttpBody:
    return httpbody_pb2.HttpBody(content_type="application/json", data=json.dumps(value).encode())


@asynccontextmanager
async def serving(
    gateway: Gateway,
    port: int = 0,
    credentials: grpc.ServerCredentials | None = None,
    admin: Callable[[grpc.aio.Server], None] | None = None,
) -> AsyncIterator[int]:
    """The gateway behind a real server with health; yields its port."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    pb_grpc.add_OpenAIServiceServicer_to_server(gateway, server)
    if admin is not None:
        admin(server)
    healthy = health.HealthServicer()
    await healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    address = f"127.0.0.1:{port}"
    bound = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(None)
