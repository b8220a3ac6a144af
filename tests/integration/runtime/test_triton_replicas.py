"""Two Tritons of which one is sick: the other is asked at once, and the sick one rests."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest

from services.runtime import sockets
from services.runtime.server import App
from services.runtime.triton import TritonClient, open_channels
from tests.fakes.serving import app_of, serving
from tests.fakes.triton import FakeTriton

Code = grpc.StatusCode


@asynccontextmanager
async def client_of(tmp_path: Path, *tritons: FakeTriton | None) -> AsyncIterator[TritonClient]:
    """A client of these; nobody listens for None."""
    paths = [tmp_path / f"{index}.sock" for index in range(len(tritons))]
    async with AsyncExitStack() as stack:
        for path, triton in zip(paths, tritons, strict=True):
            if triton is not None:
                app = app_of(triton)
                await stack.enter_async_context(serving(App(app.add, [], layers=[], sockets=[path])))
        yield TritonClient(*await open_channels(sockets.targets(paths), None, stack))


async def embed(client: TritonClient, times: int) -> None:
    for _ in range(times):
        assert (await client.embed(["a text"], timeout=30)).vectors.shape == (1, 384)


@pytest.mark.parametrize("code", [Code.INTERNAL, Code.UNAVAILABLE])
@pytest.mark.parametrize("first", [False, True])
async def test_what_a_sick_one_fails_is_asked_of_the_other(tmp_path: Path, code: Code, first: bool) -> None:
    sick, well = FakeTriton(code), FakeTriton()
    async with client_of(tmp_path, *((sick, well) if first else (well, sick))) as client:
        await embed(client, 20)
        assert len(well.requests) == 20
        assert 1 <= len(sick.requests) < 10, "it rests"
        assert await client.injection_scores(["attack"], timeout=30) == [0.75]
        rests = len(sick.requests)
        sick.code = None
        while len(sick.requests) == rests:
            await embed(client, 1)


async def test_one_that_is_gone_is_not_waited_for(tmp_path: Path) -> None:
    well = FakeTriton()
    async with client_of(tmp_path, None, well) as client:
        await embed(client, 4)
        assert len(well.requests) == 4
        assert await client.ready(["embed"])
        assert not await client.ready(["llm"])


@pytest.mark.parametrize("code", [Code.INVALID_ARGUMENT, Code.RESOURCE_EXHAUSTED])
async def test_a_refusal_is_final(tmp_path: Path, code: Code) -> None:
    tritons = FakeTriton(code), FakeTriton(code)
    async with client_of(tmp_path, *tritons) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await embed(client, 1)
    assert caught.value.code() is code
    assert sum(len(triton.requests) for triton in tritons) == 1


async def test_with_all_of_them_sick_each_call_asks_each(tmp_path: Path) -> None:
    tritons = FakeTriton(Code.INTERNAL), FakeTriton(Code.INTERNAL)
    async with client_of(tmp_path, *tritons) as client:
        for _ in range(3):
            with pytest.raises(grpc.aio.AioRpcError):
                await embed(client, 1)
        assert [len(triton.requests) for triton in tritons] == [3, 3]
        tritons[0].code = None
        await embed(client, 3)


async def test_a_single_one_that_is_sick_is_not_asked_again(tmp_path: Path) -> None:
    triton = FakeTriton(Code.INTERNAL)
    async with client_of(tmp_path, triton) as client:
        with pytest.raises(grpc.aio.AioRpcError):
            await embed(client, 1)
    assert len(triton.requests) == 1


@pytest.mark.parametrize(
    ("target", "each"),
    [
        ("unix:/a%2Cb,/c", ["unix:/a%2Cb", "unix:/c"]),
        ("unix:/a", ["unix:/a"]),
        ("ipv4:10.0.0.1:8001,10.0.0.2:8001", ["ipv4:10.0.0.1:8001", "ipv4:10.0.0.2:8001"]),
        ("xds:///triton", ["xds:///triton"]),
        ("dns:///triton:8001", ["dns:///triton:8001"]),
        ("127.0.0.1:8001", ["127.0.0.1:8001"]),
        ("dns:///a:8001, dns:///b:8001", ["dns:///a:8001", "dns:///b:8001"]),
        ("a:8001,b:8001", ["a:8001", "b:8001"]),
        ("unix:/a,dns:///b:8001,unix:/c", ["unix:/a", "dns:///b:8001", "unix:/c"]),
    ],
)
def test_the_addresses_of_a_target(target: str, each: Sequence[str]) -> None:
    assert sockets.each(target) == each
