"""control itself: its own service, its death and return, and clients that refuse what it says."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import httpx
import pytest
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from headworks.control.v1 import control_service_pb2 as pb
from headworks.control.v1 import control_service_pb2_grpc as pb_grpc
from headworks.control.v1 import topology_pb2
from prometheus_client import REGISTRY

from infra.envoy import EnvoyBootstrap, envoy_argv, envoy_bootstrap, write_json
from services.control.app import wire
from services.control.plane import ENVOY, Build, builder
from services.control.resources import CDS, LDS, Resource
from services.control.resources.wire import resource
from services.control.settings import ControlSettings
from services.control.topology import Topology
from services.runtime.health import Readiness
from services.runtime.server import build
from tests.fixtures.clock import DrivenClock
from tests.integration.control.harness import (
    Gateway,
    Mesh,
    free_port,
    kill9,
    listens,
    process,
    serving,
    until_async,
)

MOVED = (
    "listener_manager.listener_modified",
    "cluster_manager.cluster_modified",
    "cluster.gateway.membership_change",
    "http.edge.rds.edge.config_reload",
)
"""What Envoy counts when something it serves with is replaced."""
Stub: TypeAlias = "pb_grpc.ControlServiceAsyncStub"  # in the stubs only
ENDPOINT = topology_pb2.Endpoint(replica="gateway-0", host="127.0.0.1", port=9000)


@asynccontextmanager
async def control(settings: ControlSettings, build_resources: Build | None = None) -> AsyncIterator[int]:
    """control's own server in this process; yields its port."""
    app = await wire(settings, build_resources)
    server = build(settings, app, Readiness(app.names, app.checks), None)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with (
        control(ControlSettings(max_deadline_seconds=5)) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield pb_grpc.ControlServiceStub(channel)


async def test_the_topology_is_set_and_read(stub: Stub) -> None:
    request = pb.SetEndpointsRequest(service="gateway", endpoints=[ENDPOINT])
    for _ in range(2):
        assert (await stub.SetEndpoints(request)).topology.version == 1
    topology = (await stub.GetTopology(pb.GetTopologyRequest())).topology
    assert [one.service for one in topology.services] == ["gateway", "orchestrator", "retrieval", "triton"]
    assert list(topology.services[0].endpoints) == [ENDPOINT]


async def test_a_host_name_becomes_an_address(stub: Stub) -> None:
    named = topology_pb2.Endpoint(replica="triton-0", host="localhost", port=9000)
    topology = (await stub.SetEndpoints(pb.SetEndpointsRequest(service="triton", endpoints=[named]))).topology
    assert topology.services[3].endpoints[0].host == "127.0.0.1"


@pytest.mark.parametrize(
    ("service", "endpoint"),
    [
        ("billing", ENDPOINT),
        ("gateway", topology_pb2.Endpoint(replica="gateway-0", host="127.0.0.1", port=70000)),
        ("gateway", topology_pb2.Endpoint(replica="gateway-0", host="no.such.host.invalid", port=1)),
        ("gateway", topology_pb2.Endpoint(replica="gateway-0", host="a" * 300, port=1)),
        ("gateway", topology_pb2.Endpoint(host="127.0.0.1", port=1)),
    ],
)
async def test_what_cannot_be_is_invalid(stub: Stub, service: str, endpoint: topology_pb2.Endpoint) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.SetEndpoints(pb.SetEndpointsRequest(service=service, endpoints=[endpoint]))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_watcher_hears_of_changes(stub: Stub) -> None:
    call: Any = stub.WatchTopology(pb.WatchTopologyRequest())
    assert (await call.read()).topology.version == 0
    await stub.SetEndpoints(pb.SetEndpointsRequest(service="gateway", endpoints=[ENDPOINT]))
    assert (await call.read()).topology.version == 1
    call.cancel()


async def test_a_discovery_stream_has_no_deadline(clock: DrivenClock) -> None:
    async with (
        control(ControlSettings(max_deadline_seconds=60)) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        stream = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel).StreamAggregatedResources()
        await stream.write(discovery_pb2.DiscoveryRequest(type_url=LDS, resource_names=["triton"]))
        assert [one.type_url for one in (await stream.read()).resources] == [LDS]
        await clock.advance(90)
        await stream.write(discovery_pb2.DiscoveryRequest(type_url=CDS, resource_names=["triton"]))
        assert [one.type_url for one in (await stream.read()).resources] == [CDS]
        await stream.done_writing()
        assert await stream.code() == grpc.StatusCode.OK


async def test_traffic_goes_on_without_control_and_through_its_return(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path)
    one, two = Gateway("gateway-0"), Gateway("gateway-1")
    async with serving(one) as first, serving(two) as second, httpx.AsyncClient(base_url=mesh.url) as http:
        with mesh.control() as process_of_control, mesh.envoy():
            topology = await mesh.set_endpoints("gateway", {"gateway-0": first})
            await mesh.healthy(first)
            async with http.stream("POST", "/v1/chat/completions", json={"do": "stream"}) as response:
                chunks = response.aiter_raw()
                assert await anext(chunks) == b"data: first\n\n"
                kill9(process_of_control)
                assert [(await http.get("/v1/models")).status_code for _ in range(50)] == [200] * 50
                before = await mesh.stats()
                with mesh.control():
                    await mesh.until_more("http.edge.rds.edge.update_success", before)
                    assert (await mesh.set_endpoints("gateway", {"gateway-0": first})).version == topology.version
                    assert [(await http.get("/v1/models")).status_code for _ in range(50)] == [200] * 50
                    after = await mesh.stats()
                    assert {name: after[name] for name in MOVED} == {name: before[name] for name in MOVED}
                    await mesh.set_endpoints("gateway", {"gateway-1": second})
                    await mesh.healthy(second)
                    assert (await http.get("/v1/models")).json()["replica"] == "gateway-1"
                one.released.set()
                assert b"[DONE]" in b"".join([chunk async for chunk in chunks])


async def test_a_control_that_lost_its_memory_takes_nothing_away(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path)
    one = Gateway("gateway-0")
    async with serving(one) as port, httpx.AsyncClient(base_url=mesh.url) as http:
        with mesh.control() as process_of_control, mesh.envoy():
            await mesh.set_endpoints("gateway", {"gateway-0": port})
            await mesh.healthy(port)
            kill9(process_of_control)
            (tmp_path / "topology.json").unlink()
            before = await mesh.stats()
            with mesh.control():
                await mesh.until_more("http.edge.rds.edge.update_success", before)
                assert [(await http.get("/v1/models")).status_code for _ in range(50)] == [200] * 50
                await mesh.set_endpoints("gateway", {})
                await mesh.healthy()


async def test_control_stops_at_once_and_cleanly_though_clients_are_there(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path)
    with mesh.control() as process_of_control, mesh.envoy():
        process_of_control.terminate()
        assert process_of_control.wait(5) == 0
    assert "Traceback" not in (tmp_path / "control.log").read_text()


async def test_connections_have_a_limit(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path, {"MAX_CONNECTIONS": "2"})
    with mesh.control(), mesh.envoy():
        await closed(mesh)
        async with AsyncExitStack() as stack:
            clients = [httpx.AsyncClient(base_url=mesh.url, timeout=5) for _ in range(3)]
            for one in clients:
                await stack.enter_async_context(one)
            for one in clients[:2]:
                assert (await one.get("/v1/models")).status_code == 503
            with pytest.raises(httpx.TransportError):
                await clients[2].get("/v1/models")


async def test_envoy_may_start_before_control_and_without_any_replica(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path)
    with process(envoy_argv(mesh.envoy_json), mesh.log):
        await until_async(lambda: listens(mesh.admin_port), "Envoy runs")
        with mesh.control():
            await until_async(lambda: listens(mesh.edge_port), "Envoy listens", 8)
            async with httpx.AsyncClient(base_url=mesh.url) as http:
                assert (await http.get("/v1/models")).status_code == 503


async def test_what_envoy_refuses_is_counted_and_logged_and_envoy_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = ControlSettings(edge_port=free_port(), health_interval_seconds=0.2)
    usual = builder(settings.edge())

    def broken(topology: Topology) -> Mapping[str, Iterable[Resource]]:
        """From the second version on, with a cluster that no Envoy takes."""
        resources = usual(topology)
        if topology.version < 2:
            return resources
        bad = resource(CDS, {"name": "bad", "connect_timeout": "0s"})
        return {**resources, ENVOY: [*resources[ENVOY], bad]}

    def nacks() -> float:
        return REGISTRY.get_sample_value("headworks_xds_nacks_total", {"type": "Cluster"}) or 0.0

    before = nacks()
    gateway = Gateway("gateway-0")
    async with control(settings, broken) as port, serving(gateway) as replica:
        bootstrap = envoy_bootstrap(EnvoyBootstrap(("127.0.0.1", port), tmp_path / "admin.sock"))
        argv = envoy_argv(write_json(tmp_path / "envoy.json", bootstrap))
        async with (
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.edge_port}") as http,
        ):
            stub = pb_grpc.ControlServiceStub(channel)
            with process(argv, tmp_path / "envoy.log"):
                endpoint = topology_pb2.Endpoint(
                    replica="gateway-0", host="127.0.0.1", port=replica, http_port=replica.http
                )
                await stub.SetEndpoints(pb.SetEndpointsRequest(service="gateway", endpoints=[endpoint]))
                await until_async(lambda: listens(settings.edge_port), "Envoy listens")
                await until_ok(http)
                assert nacks() == before
                await stub.SetEndpoints(pb.SetEndpointsRequest(service="triton", endpoints=[ENDPOINT]))
                await until_async(lambda: nacks() == before + 1, "the NACK is counted")
                [said] = [record for record in caplog.records if "refused" in record.message]
                assert "connect" in said.__dict__["reason"].lower()
                assert (await http.get("/v1/models")).json()["replica"] == "gateway-0"


async def until_ok(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(20):
        while (await http.get("/v1/models")).status_code != 200:
            await asyncio.sleep(0.05)


async def closed(mesh: Mesh) -> None:
    """Wait until nobody is connected to the edge."""
    async with asyncio.timeout(20):
        while (await mesh.stats()).get("connection_limit.edge.active_connections", 0):
            await asyncio.sleep(0.05)
