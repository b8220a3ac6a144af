"""Replicas come, go, fail and come back; what callers notice of it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from tests.integration.control.harness import Broken, Flaky, Gateway, Mesh, Ports, free_port, serving, until_async


@asynccontextmanager
async def replicas(mesh: Mesh, *gateways: Gateway) -> AsyncIterator[dict[str, Ports]]:
    """The gateways, served, told to control, found well by Envoy."""
    async with AsyncExitStack() as stack:
        ports = {one.name: await stack.enter_async_context(serving(one)) for one in gateways}
        await mesh.set_endpoints("gateway", ports)
        await mesh.healthy(*ports.values())
        yield ports


class Load:
    """Asks for as long as the block lasts, and counts what was answered."""

    def __init__(self, http: httpx.AsyncClient, workers: int = 4) -> None:
        self._http = http
        self._workers = workers
        self.answers: Counter[tuple[int, str]] = Counter()
        self._stop = asyncio.Event()

    async def __aenter__(self) -> "Load":
        self._tasks = [asyncio.create_task(self._ask()) for _ in range(self._workers)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def more(self, count: int) -> None:
        """Wait until so many more were answered."""
        wanted = self.answers.total() + count
        await until_async(lambda: self.answers.total() >= wanted, f"{count} more answers")

    def failed(self) -> dict[tuple[int, str], int]:
        return {answer: count for answer, count in self.answers.items() if answer[0] != 200}

    async def _ask(self) -> None:
        while not self._stop.is_set():
            response = await self._http.post("/v1/chat/completions", json={})
            self.answers[response.status_code, response.json().get("replica", "")] += 1


async def test_the_load_is_balanced(mesh: Mesh, http: httpx.AsyncClient) -> None:
    one, two = Gateway("gateway-0"), Gateway("gateway-1")
    async with replicas(mesh, one, two), Load(http) as load:
        await load.more(200)
    assert not load.failed()
    assert min(one.served, two.served) > 40


async def test_a_replica_that_leaves_or_joins_is_not_noticed(mesh: Mesh, http: httpx.AsyncClient) -> None:
    one, two = Gateway("gateway-0"), Gateway("gateway-1")
    async with replicas(mesh, one, two) as ports, Load(http) as load:
        await load.more(50)
        await mesh.set_endpoints("gateway", {"gateway-0": ports["gateway-0"]})
        await mesh.healthy(ports["gateway-0"])
        before = two.served
        await load.more(100)
        assert two.served <= before + 4
        await mesh.set_endpoints("gateway", ports)
        await mesh.healthy(*ports.values())
        before = two.served
        await load.more(100)
        assert two.served > before + 20
    assert not load.failed()


async def test_a_stream_outlives_its_replica_s_removal(mesh: Mesh, http: httpx.AsyncClient) -> None:
    one = Gateway("gateway-0")
    async with replicas(mesh, one), http.stream("POST", "/v1/chat/completions", json={"do": "stream"}) as response:
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"data: first\n\n"
        await mesh.set_endpoints("gateway", {})
        await mesh.healthy()
        one.released.set()
        assert b"".join([chunk async for chunk in chunks]) == b"data: second\n\ndata: [DONE]\n\n"


async def test_a_replica_nobody_listens_on_is_passed_over(mesh: Mesh, http: httpx.AsyncClient) -> None:
    """Before the health check knows: what could not be sent is sent to the next."""
    one, two = Gateway("gateway-0"), Gateway("gateway-1")
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(serving(one))
        dying = serving(two)
        second = await dying.__aenter__()
        await mesh.set_endpoints("gateway", {"gateway-0": first, "gateway-1": second})
        await mesh.healthy(first, second)
        await dying.__aexit__(None, None, None)
        answers = [await http.post("/v1/chat/completions", json={}) for _ in range(60)]
        assert {one.status_code for one in answers} == {200}
        await mesh.healthy(first)


async def test_a_replica_that_comes_back_is_used_soon(mesh: Mesh, http: httpx.AsyncClient) -> None:
    port = Ports(free_port(), free_port())
    async with serving(Gateway("gateway-0"), port):
        await mesh.set_endpoints("gateway", {"gateway-0": port})
        await mesh.healthy(port)
    await mesh.healthy()
    assert (await http.get("/v1/models")).status_code == 503
    async with serving(Gateway("gateway-0"), port), asyncio.timeout(60):
        while (await http.get("/v1/models")).status_code != 200:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(("failures", "status", "served"), [(3, 200, 4), (4, 503, 4)])
async def test_unavailable_is_tried_again_where_the_method_allows(
    mesh: Mesh, http: httpx.AsyncClient, failures: int, status: int, served: int
) -> None:
    one = Flaky("gateway-0", failures)
    async with replicas(mesh, one):
        assert (await http.get("/v1/models")).status_code == status
    assert one.served == served


async def test_unavailable_is_not_tried_again_where_it_does_not(mesh: Mesh, http: httpx.AsyncClient) -> None:
    one = Gateway("gateway-0")
    async with replicas(mesh, one):
        response = await http.post("/v1/chat/completions", json={"do": "fail", "status": 503})
    assert (response.status_code, one.served) == (503, 1)


async def test_a_replica_that_only_fails_is_left_out(mesh: Mesh, http: httpx.AsyncClient) -> None:
    good, broken = Gateway("gateway-0"), Broken("gateway-1")
    async with replicas(mesh, good, broken), asyncio.timeout(20):
        while broken.served < 10:
            await http.post("/v1/chat/completions", json={})
        await mesh.until_more("cluster.gateway-http.health_check.success", await mesh.stats(), 4)
        answers = [await http.post("/v1/chat/completions", json={}) for _ in range(40)]
    assert {one.status_code for one in answers} == {200}
    assert broken.served == 10


async def test_the_only_replica_is_never_left_out(mesh: Mesh, http: httpx.AsyncClient) -> None:
    broken = Broken("gateway-0")
    async with replicas(mesh, broken):
        for _ in range(30):
            await http.post("/v1/chat/completions", json={})
    assert broken.served == 30


async def test_another_gateway_says_whether_the_mesh_is_ready_where_one_hangs(
    mesh: Mesh, http: httpx.AsyncClient
) -> None:
    hanging, well = Gateway("gateway-0"), Gateway("gateway-1")
    hanging.hangs_at = b"/readyz"
    async with replicas(mesh, hanging, well):
        answers = await asyncio.gather(*(http.get("/readyz") for _ in range(20)))
    assert [(answer.status_code, answer.json().get("replica")) for answer in answers] == [(200, "gateway-1")] * 20
