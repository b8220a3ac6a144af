# ruff: noqa: N802 (the methods have the protos' names)
"""The services' own gRPC clients, dialling xds:///NAME: grpcio's real one, in a process of its own."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc

from services.runtime.call import ORDINAL_KEY, ORDINALS, REPLICA_KEY
from tests.integration.control.harness import Context, Mesh, kill9

# Reads a line [method, metadata], calls, writes a line [code, who answered or the status's words].
CLIENT = """
import json, sys, grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb, orchestrator_service_pb2_grpc as pb_grpc
stub = pb_grpc.OrchestratorServiceStub(grpc.insecure_channel("xds:///orchestrator"))
for line in sys.stdin:
    method, metadata = json.loads(line)
    metadata = tuple(metadata.items())
    try:
        if method == "Run":
            call = stub.Run(pb.RunRequest(), timeout=10, metadata=metadata)
        else:
            _, call = stub.ListRuns.with_call(pb.ListRunsRequest(), timeout=10, metadata=metadata)
        answer = "OK", dict(call.initial_metadata()).get("replica", "")
        list(call) if method == "Run" else None
    except grpc.RpcError as error:
        answer = error.code().name, error.details()
    print(json.dumps(answer), flush=True)
"""


class Orchestrator(pb_grpc.OrchestratorServiceServicer):
    """Says who it is in its initial metadata, or, as often as told, that it is unavailable."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.failures = 0
        self.served = 0

    async def ListRuns(self, request: pb.ListRunsRequest, context: Context) -> pb.ListRunsResponse:
        await self._answer(context)
        return pb.ListRunsResponse()

    async def Run(self, request: pb.RunRequest, context: Context) -> AsyncIterator[pb.RunResponse]:
        await self._answer(context)
        yield pb.RunResponse()

    async def _answer(self, context: Context) -> None:
        self.served += 1
        if self.failures:
            self.failures -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"{self.name} is busy")
        await context.send_initial_metadata((("replica", self.name),))


class Client:
    """A process with one channel to xds:///orchestrator."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def call(self, method: str = "ListRuns", replica: str = "", ordinal: int | None = None) -> tuple[str, str]:
        metadata = {REPLICA_KEY: replica} if replica else {} if ordinal is None else {ORDINAL_KEY: str(ordinal)}
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([method, metadata]).encode() + b"\n")
        code, who = json.loads(await asyncio.wait_for(self._process.stdout.readline(), 20))
        return code, who

    async def until(self, *wanted: str, **call: Any) -> None:
        """Call until exactly these replicas answered twenty calls, with no failure."""
        async with asyncio.timeout(20):
            while {await self.call(**call) for _ in range(20)} != {("OK", name) for name in wanted}:
                await asyncio.sleep(0.02)


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


@asynccontextmanager
async def orchestrators(mesh: Mesh, *names: str) -> AsyncIterator[dict[str, Orchestrator]]:
    """Replicas, served and told to control."""
    servicers = {name: Orchestrator(name) for name in names}  # type: ignore[abstract]  # the rest is unimplemented
    async with AsyncExitStack() as stack:
        ports = {name: await stack.enter_async_context(_serving(one)) for name, one in servicers.items()}
        await mesh.set_endpoints("orchestrator", ports)
        yield servicers


@asynccontextmanager
async def _serving(servicer: Orchestrator) -> AsyncIterator[int]:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    pb_grpc.add_OrchestratorServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


async def test_calls_go_to_all_replicas_or_to_the_one_they_name(mesh: Mesh) -> None:
    async with orchestrators(mesh, "orchestrator-0", "orchestrator-1"), client(mesh) as one:
        await one.until("orchestrator-0", "orchestrator-1")
        assert Counter([await one.call() for _ in range(20)]).most_common(1)[0][1] == 10
        for name in ("orchestrator-0", "orchestrator-1"):
            await one.until(name, replica=name)
        assert (await one.call("Run", "orchestrator-1")) == ("OK", "orchestrator-1")
        assert (await one.call(replica="orchestrator-9"))[0] == "UNAVAILABLE"


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_replicas_by_number_are_different_ones_in_turn(mesh: Mesh, count: int) -> None:
    names = [f"orchestrator-{number}" for number in range(count)]
    async with orchestrators(mesh, *names), client(mesh) as one:
        for number in range(ORDINALS):
            await one.until(names[number % count], ordinal=number)


async def test_one_that_is_gone_has_no_number(mesh: Mesh) -> None:
    async with orchestrators(mesh, "orchestrator-0", "orchestrator-1"), client(mesh) as one:
        await one.until("orchestrator-1", ordinal=1)
        async with orchestrators(mesh, "orchestrator-2"):
            await one.until("orchestrator-2", ordinal=0)
            await one.until("orchestrator-2", ordinal=1)


async def test_an_open_channel_follows_the_topology(mesh: Mesh) -> None:
    async with client(mesh) as one, orchestrators(mesh, "orchestrator-0"):
        await one.until("orchestrator-0")
        async with orchestrators(mesh, "orchestrator-1", "orchestrator-2"):
            await one.until("orchestrator-1", "orchestrator-2")
            await one.until("orchestrator-2", replica="orchestrator-2")
            await mesh.set_endpoints("orchestrator", {})
            async with asyncio.timeout(20):
                while (await one.call())[0] != "UNAVAILABLE":
                    await asyncio.sleep(0.02)


async def test_unavailable_is_tried_again_where_the_method_allows(mesh: Mesh) -> None:
    async with orchestrators(mesh, "orchestrator-0") as servicers, client(mesh) as one:
        await one.until("orchestrator-0")
        orchestrator = servicers["orchestrator-0"]
        orchestrator.failures, before = 2, orchestrator.served
        assert (await one.call("ListRuns"))[0] == "OK"
        assert orchestrator.served == before + 3
        orchestrator.failures, before = 1, orchestrator.served
        assert await one.call("Run") == ("UNAVAILABLE", "orchestrator-0 is busy")
        assert orchestrator.served == before + 1


async def test_calls_go_on_without_control_and_after_its_return(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path)
    with mesh.control() as process:
        async with orchestrators(mesh, "orchestrator-0", "orchestrator-1"), client(mesh) as one:
            await one.until("orchestrator-0", "orchestrator-1")
            kill9(process)
            assert {(await one.call())[0] for _ in range(100)} == {"OK"}
            with mesh.control():
                assert {(await one.call())[0] for _ in range(100)} == {"OK"}
                async with orchestrators(mesh, "orchestrator-2"):
                    await one.until("orchestrator-2")


# Opens a channel to xds:///orchestrator as services do, calls once, and writes who answered.
SERVICE = """
import asyncio
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb, orchestrator_service_pb2_grpc as pb_grpc
from services.runtime.channels import open_channel
from services.runtime.proxies import spare_control

async def main():
    async with open_channel("xds:///orchestrator") as channel:
        call = pb_grpc.OrchestratorServiceStub(channel).ListRuns(pb.ListRunsRequest(), timeout=20)
        print(dict(await call.initial_metadata()).get("replica", await call.details()))

spare_control()
asyncio.run(main())
"""


@pytest.mark.parametrize("given", [{}, {"no_proxy": "example.com"}, {"no_grpc_proxy": "example.com"}])
@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
async def test_no_proxy_is_asked_on_the_way_to_control_and_to_services(
    mesh: Mesh, variable: str, given: dict[str, str]
) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    nobody = {variable: "http://127.0.0.1:1", **given, "GRPC_XDS_BOOTSTRAP": str(mesh.grpc_json)}
    async with orchestrators(mesh, "one"):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SERVICE, stdout=asyncio.subprocess.PIPE, env=kept | nobody
        )
        told, _ = await process.communicate()
    assert told.decode().strip() == "one"
