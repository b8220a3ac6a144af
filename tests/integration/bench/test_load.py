"""The load generator against a small server of asyncio streams."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from bench.load.__main__ import LoadPlan, UnexpectedAnswer, generate

Answer = Callable[[asyncio.StreamWriter, bytes], Awaitable[None]]


class Server:
    """Answers each POST as it is told."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.connections = 0
        self.bodies: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length"))
                body = await reader.readexactly(int(length.partition(b":")[2]))
                self.bodies.append(body)
                await self._answer(writer, body)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[str]:
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listener:
        host, port = listener.sockets[0].getsockname()
        yield f"http://{host}:{port}/v1/chat/completions"


async def whole(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))


async def streamed(writer: asyncio.StreamWriter, _: bytes) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n")
    await asyncio.sleep(0.02)
    writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")


async def closing(writer: asyncio.StreamWriter, _: bytes) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
    writer.close()


async def failing(writer: asyncio.StreamWriter, _: bytes) -> None:
    writer.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy")


async def leaving(writer: asyncio.StreamWriter, _: bytes) -> None:
    writer.close()


def plan(url: str, **changes: object) -> LoadPlan:
    values = {"bodies": [b"one", b"two"], "connections": 3, "seconds": 0.3, "warm_up": 0.1, **changes}
    return LoadPlan(url, **values)  # type: ignore[arg-type]


async def test_connections_are_kept_and_bodies_cycled() -> None:
    server = Server(whole)
    async with serving(server) as url:
        load = await generate(plan(url))
    assert server.connections == 3
    assert server.bodies[:4] == [b"one", b"two", b"one", b"two"]
    assert 0 < load.answered < load.total <= len(server.bodies)
    assert load.rate == pytest.approx(load.answered / 0.3)
    assert 0 < load.latency.p50 <= load.latency.p99 <= load.latency.highest
    assert 0 < load.processor < 1.5


async def test_the_first_byte_of_a_stream_is_timed() -> None:
    async with serving(Server(streamed)) as url:
        load = await generate(plan(url, expect=b"[DONE]"))
    assert load.latency.p50 >= 20
    assert load.first.p50 < load.latency.p50


async def test_a_connection_closed_after_its_answer_is_opened_again() -> None:
    server = Server(closing)
    async with serving(server) as url:
        load = await generate(plan(url))
    assert server.connections >= load.total > 3


@pytest.mark.parametrize(
    ("answer", "changes", "told"),
    [
        (failing, {}, "status 503: busy"),
        (leaving, {}, "closed a connection"),
        (whole, {"expect": b"choices"}, "status 200: one"),
    ],
)
async def test_anything_unexpected_ends_the_run(answer: Answer, changes: dict[str, object], told: str) -> None:
    async with serving(Server(answer)) as url:
        with pytest.raises(UnexpectedAnswer, match=told):
            await generate(plan(url, **changes))


async def test_nobody_there() -> None:
    async with serving(Server(whole)) as url:
        pass
    with pytest.raises(UnexpectedAnswer, match="no connection"):
        await generate(plan(url))


def test_on_the_loop_that_the_benchmarks_use() -> None:
    async def both() -> int:
        async with serving(Server(whole)) as url:
            return (await generate(plan(url))).total

    assert uvloop.run(both()) > 0
