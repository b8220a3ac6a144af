"""6,000 streams cut by their clients: nothing is left of them, and not three kilobytes of each."""

import asyncio
import gc
from collections.abc import Iterator
from itertools import islice

import grpc
import httpx
import psutil
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import run_pb2

from tests.e2e.conftest import COLLECTION
from tests.e2e.meshes import Mesh

WARM_UP = 3_000
STREAMS = 6_000
AT_ONCE = 32
PER_CONNECTION = 200
GROWTH = 0.06
SLACK = 5 << 20


async def test_cancelled_streams_leak_nothing(mesh: Mesh) -> None:
    processes = {
        name: psutil.Process(mesh.process(name)["pid"])
        for name in ("gateway-0", "orchestrator-0", "retrieval-0", "envoy-0")
    }
    await cut(mesh, WARM_UP)
    before = {name: process.memory_info().rss for name, process in processes.items()}
    await cut(mesh, STREAMS)
    async with asyncio.timeout(30):
        while await in_flight(mesh, "orchestrator-0"):
            await asyncio.sleep(0.2)
    after = {name: process.memory_info().rss for name, process in processes.items()}
    growth = {name: (after[name] - before[name]) >> 10 for name in processes}
    print(f"\nafter {STREAMS} cut streams, growth in KiB: {growth}")
    for name in processes:
        assert after[name] <= before[name] * (1 + GROWTH) + SLACK, growth


async def cut(mesh: Mesh, count: int) -> None:
    """Start `count` runs, AT_ONCE at a time, and leave each after its first event, or before it."""
    numbers = iter(range(count))
    await asyncio.gather(*(leaver(mesh, numbers) for _ in range(AT_ONCE)))
    gc.collect()


async def leaver(mesh: Mesh, numbers: Iterator[int]) -> None:
    """Leave one run after another. Envoy drops a connection on which most of 500 streams were reset within a second
    of their start, so each connection is used for fewer."""
    message = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content="Where does the Rhine end?")
    request = pb.RunRequest(messages=[message], collection=COLLECTION)
    metadata, own_connection = mesh.metadata, [("grpc.use_local_subchannel_pool", 1)]
    while batch := list(islice(numbers, PER_CONNECTION)):
        async with grpc.aio.insecure_channel(mesh.target, options=own_connection) as channel:
            stub = pb_grpc.OrchestratorServiceStub(channel)
            for number in batch:
                call = stub.Run(request, timeout=30, metadata=metadata)
                if number % 4:
                    await anext(aiter(call))
                call.cancel()


async def in_flight(mesh: Mesh, name: str) -> float:
    """Runs under way, by the process's own metric."""
    async with httpx.AsyncClient() as http:
        text = (await http.get(f"http://{mesh.process(name)['metrics']}/metrics")).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("headworks_runs_running{"))
