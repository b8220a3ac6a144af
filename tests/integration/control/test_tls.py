# ruff: noqa: N802 (the methods have the protos' names)
"""Mutual TLS as control tells it: Envoy, gRPC's own xDS client and control itself, each with its certificate."""

import asyncio
import json
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from headworks.control.v1 import control_service_pb2, control_service_pb2_grpc, topology_pb2
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc

from infra.certificates import EDGE, OPERATOR, Folder, ensure
from infra.envoy import EnvoyBootstrap, envoy_bootstrap, grpc_bootstrap, write_json, write_secrets
from services.control.resources.wire import CDS
from services.runtime.tls import TlsFiles
from tests.fakes.certificates import certificates, shown_at
from tests.integration.control.harness import Context, Gateway, Mesh, endpoints_of, serving, until_async

# Reads a line, calls xds:///orchestrator, writes a line [code, serial number of its certificate as the server saw it].
CLIENT = """
import asyncio, json, sys, grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb, orchestrator_service_pb2_grpc as pb_grpc
from services.runtime.channels import open_channel
async def main():
    async with open_channel("xds:///orchestrator") as channel:
        stub = pb_grpc.OrchestratorServiceStub(channel)
        while await asyncio.to_thread(sys.stdin.readline):
            call = stub.ListRuns(pb.ListRunsRequest(), timeout=10)
            try:
                await call
                answer = "OK", dict(await call.initial_metadata())["serial"]
            except grpc.aio.AioRpcError as error:
                answer = error.code().name, error.details()
            print(json.dumps(answer), flush=True)
asyncio.run(main())
"""


class SecuredMesh(Mesh):
    """Control and Envoy, each with its certificate."""

    def __init__(self, folder: Path, edge: Path | None = None) -> None:
        """`edge`: a folder with the edge's files, where they are not in that of all the others."""
        super().__init__(folder)
        self.tls = certificates(folder / "tls")
        shown = Folder(edge) if edge else self.tls
        self.secrets = write_secrets(
            folder / "secrets", (shown.certificate(EDGE), shown.private_key(EDGE)), self.tls.files("envoy")
        )
        own = self.tls.files("control")
        self.settings = {
            "TLS_CERTIFICATE": str(own.certificate), "TLS_PRIVATE_KEY": str(own.private_key), "TLS_CA": str(own.ca),
            "EDGE_SECRETS": str(self.secrets),
        }  # fmt: skip
        envoy = EnvoyBootstrap(self.control_address, self.admin_address, secrets=self.secrets)
        write_json(self.envoy_json, envoy_bootstrap(envoy))
        client = grpc_bootstrap(self.control_address, "test-client", self.tls.files("gateway"))
        write_json(self.grpc_json, client)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.edge_port}"

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.tls.ca)

    async def set_endpoints(self, service: str, ports: Mapping[str, int]) -> topology_pb2.Topology:
        endpoints = endpoints_of(ports)
        credentials = self.tls.files(OPERATOR).client()
        async with grpc.aio.secure_channel(f"127.0.0.1:{self.control_port}", credentials) as channel:
            stub = control_service_pb2_grpc.ControlServiceStub(channel)
            request = control_service_pb2.SetEndpointsRequest(service=service, endpoints=endpoints)
            response = await stub.SetEndpoints(request, timeout=5, wait_for_ready=True)
        return response.topology


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredMesh]:
    mesh = SecuredMesh(tmp_path_factory.mktemp("secured"))
    with mesh.control(), mesh.envoy():
        yield mesh


class Orchestrator(pb_grpc.OrchestratorServiceServicer):
    """Says in its initial metadata which certificate the caller has."""

    async def ListRuns(self, request: pb.ListRunsRequest, context: Context) -> pb.ListRunsResponse:
        [shown] = context.auth_context()["x509_pem_cert"]
        await context.send_initial_metadata((("serial", serial(shown)),))
        return pb.ListRunsResponse()


def serial(pem: bytes) -> str:
    """Enough of a certificate to tell it from others."""
    return pem.decode().replace("\n", "")[-80:]


@asynccontextmanager
async def orchestrator(files: TlsFiles) -> AsyncIterator[int]:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    pb_grpc.add_OrchestratorServiceServicer_to_server(Orchestrator(), server)  # type: ignore[abstract]  # the rest is unimplemented
    port = server.add_secure_port("127.0.0.1:0", files.server())
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


class Client:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def call(self) -> tuple[str, str]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(b"\n")
        code, said = json.loads(await asyncio.wait_for(self._process.stdout.readline(), 20))
        return code, said

    async def until(self, code: str, said: str = "") -> str:
        """Call until the answer is this one, and gives what it said."""
        async with asyncio.timeout(30):
            while True:
                found = await self.call()
                if found[0] == code and said in found[1]:
                    return found[1]
                await asyncio.sleep(0.05)


@asynccontextmanager
async def client(mesh: Mesh) -> AsyncIterator[Client]:
    environment = {**os.environ, "GRPC_XDS_BOOTSTRAP": str(mesh.grpc_json)}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CLIENT, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, env=environment
    )
    try:
        yield Client(process)
    finally:
        process.kill()
        await process.communicate()


async def test_grpc_clients_call_by_mutual_tls_and_take_up_new_files(secured: SecuredMesh) -> None:
    own = secured.tls.certificate("gateway")
    async with client(secured) as one:
        async with orchestrator(secured.tls.files("orchestrator")) as port:
            await secured.set_endpoints("orchestrator", {"orchestrator-0": port})
            await one.until("OK", serial(own.read_bytes()))
        async with orchestrator(secured.tls.files("retrieval")) as port:
            await secured.set_endpoints("orchestrator", {"orchestrator-0": port})
            await one.until("UNAVAILABLE", "SAN")
        before = own.read_bytes()
        ensure(secured.tls, force=True)
        assert own.read_bytes() != before
        async with asyncio.timeout(30):
            seen = ""
            while seen != serial(own.read_bytes()):
                # Each replica has a port of its own, to which the client connects anew.
                async with orchestrator(secured.tls.files("orchestrator")) as port:
                    await secured.set_endpoints("orchestrator", {"orchestrator-0": port})
                    seen = await one.until("OK")


async def test_the_edge_speaks_tls_both_ways(secured: SecuredMesh) -> None:
    async with (
        serving(Gateway("gateway-0"), tls=secured.tls.files("gateway")) as port,
        httpx.AsyncClient(base_url=secured.url, verify=secured.trusting(), http2=False) as http,
    ):
        await secured.set_endpoints("gateway", {"gateway-0": port})
        await secured.healthy(port)
        assert (await http.get("/v1/models")).json() == {"replica": "gateway-0", "length": 0}
        credentials = grpc.ssl_channel_credentials(secured.tls.ca.read_bytes())
        async with grpc.aio.secure_channel(f"localhost:{secured.edge_port}", credentials) as channel:
            await asyncio.wait_for(channel.channel_ready(), 10)


async def test_a_gateway_that_is_somebody_else_is_not_well(secured: SecuredMesh) -> None:
    async with (
        serving(Gateway("gateway-1"), tls=secured.tls.files("retrieval")) as port,
        serving(Gateway("gateway-0"), tls=secured.tls.files("gateway")) as good,
    ):
        before = (await secured.stats())["cluster.gateway.ssl.fail_verify_san"]
        await secured.set_endpoints("gateway", {"gateway-1": port, "gateway-0": good})
        await secured.until_more("cluster.gateway.ssl.fail_verify_san", {"cluster.gateway.ssl.fail_verify_san": before})
        await secured.healthy(good)


async def test_the_edge_shows_new_files_without_a_restart(secured: SecuredMesh) -> None:
    edge = secured.tls.certificate(EDGE)
    assert await asyncio.to_thread(shown_at, secured.edge_port) == edge.read_text()
    ensure(secured.tls, force=True)
    await until_async(lambda: shown_at(secured.edge_port) == edge.read_text(), "the edge shows the new certificate")


async def test_a_mounted_secret_that_kubernetes_replaces(tmp_path: Path) -> None:
    """The files are links through a link to a folder, and that link is what changes."""
    mounted = tmp_path / "mounted"
    for version in ("one", "two"):
        certificates(mounted / f"..{version}")
    (mounted / "..data").symlink_to("..one")
    for name in ("edge.crt", "edge.key"):
        (mounted / name).symlink_to(Path("..data") / name)
    mesh = SecuredMesh(tmp_path, mounted)
    with mesh.control(), mesh.envoy():
        assert await asyncio.to_thread(shown_at, mesh.edge_port) == (mounted / "..one" / "edge.crt").read_text()
        (mounted / "..new").symlink_to("..two")
        (mounted / "..new").replace(mounted / "..data")
        second = (mounted / "..two" / "edge.crt").read_text()
        await until_async(lambda: shown_at(mesh.edge_port) == second, "the edge shows the second certificate")


@pytest.mark.parametrize("where", ["edge_port", "control_port"])
async def test_who_speaks_without_tls_gets_nothing(secured: SecuredMesh, where: str) -> None:
    port = getattr(secured, where)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"HTTP/1" not in plain.recv(1000)


OK, DENIED, UNREACHED = grpc.StatusCode.OK, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("name", "topology", "xds"),
    [(OPERATOR, OK, DENIED), ("gateway", DENIED, OK), ("envoy", DENIED, OK), ("triton", DENIED, DENIED),
     ("", UNREACHED, UNREACHED)],
)  # fmt: skip
async def test_the_name_in_a_certificate_decides_what_its_holder_may_call(
    secured: SecuredMesh, name: str, topology: grpc.StatusCode, xds: grpc.StatusCode
) -> None:
    folder: Folder = secured.tls
    credentials = folder.files(name).client() if name else grpc.ssl_channel_credentials(folder.ca.read_bytes())
    async with grpc.aio.secure_channel(f"127.0.0.1:{secured.control_port}", credentials) as channel:
        control = control_service_pb2_grpc.ControlServiceStub(channel)
        assert await status(control.GetTopology(control_service_pb2.GetTopologyRequest(), timeout=10)) == topology
        nowhere = control_service_pb2.SetEndpointsRequest(service="triton")
        assert await status(control.SetEndpoints(nowhere, timeout=10)) == topology
        ads = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel).StreamAggregatedResources(timeout=10)
        if xds == OK:
            await ads.write(discovery_pb2.DiscoveryRequest(node={"id": "test"}, type_url=CDS))
            assert (await ads.read()).type_url == CDS
            ads.cancel()
        else:  # nothing is written: gRPC calls a refusal INTERNAL while its client is writing
            assert await ads.code() == xds


async def status(call: Any) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK
