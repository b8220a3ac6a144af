"""The load generator for streams against a small server of asyncio streams."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from bench.load.streams import StreamPlan, UnexpectedStream, generate

STEP = 0.02
HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(event: object) -> bytes:
    data = b"data: " + (event if isinstance(event, bytes) else json.dumps(event).encode()) + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


def text(content: str) -> object:
    return {"choices": [{"delta": {"content": content}}]}


@dataclass
class Server:
    """Streams `texts`, one a step, then a usage of `tokens`; or answers what it is told."""

    texts: Sequence[str] = ("ab", "ab", "abab")
    tokens: int = 4
    instead: bytes = b""
    bodies: list[bytes] = field(default_factory=list)
    together: int = 0
    most_together: int = 0
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length"))
                self.bodies.append(await reader.readexactly(int(length.partition(b":")[2])))
                await self._answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        if self.instead:
            writer.write(self.instead)
            writer.close()
            return
        self.together += 1
        self.most_together = max(self.together, self.most_together)
        writer.write(HEAD + chunk(text("")))
        for piece in self.texts:
            await asyncio.sleep(STEP)
            writer.write(chunk(text(piece)))
        usage = {"prompt_tokens": 7, "completion_tokens": self.tokens}
        self.together -= 1
        writer.write(chunk({"choices": [], "usage": usage}) + chunk(b"[DONE]") + b"0\r\n\r\n")


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[str]:
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listener:
        host, port = listener.sockets[0].getsockname()
        yield f"http://{host}:{port}/v1/chat/completions"


async def test_a_wave_begins_together_and_the_next_after_it() -> None:
    server = Server()
    async with serving(server) as url:
        found = await generate(StreamPlan(url, [[b"a", b"b"], [b"c"]], 4))
    assert sorted(server.bodies) == [b"a", b"b", b"c"]
    assert server.bodies[2] == b"c"
    assert server.most_together == 2
    assert server.connections == 2
    assert found.chunks == 3
    assert found.prompt == 7


async def test_time_is_taken_of_chunks_with_text_only() -> None:
    server = Server()
    async with serving(server) as url:
        found = await generate(StreamPlan(url, [[b"a"]], 4))
    step = STEP * 1000
    assert found.first.p50 >= 0.9 * step
    assert found.gaps.p50 >= 0.9 * step
    assert found.rate <= 4 / (3 * STEP) * 1.1


async def test_a_chunk_of_several_tokens_shares_its_gap_among_them() -> None:
    async with serving(Server(texts=("ab", "abab"), tokens=3)) as url:
        found = await generate(StreamPlan(url, [[b"a"]], 3))
    assert found.each.p50 == pytest.approx(found.gaps.p50 / 2)


@pytest.mark.parametrize(
    ("server", "says"),
    [
        (Server(tokens=3), "3 tokens in 3 chunks"),
        (Server(texts=("", "")), "4 tokens in 0 chunks"),
        (Server(instead=b"HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\nbusy"), "status 503: busy"),
        (Server(instead=HEAD + chunk({"error": {"message": "no more"}}) + b"0\r\n\r\n"), "no more"),
        (Server(instead=HEAD + chunk(text("half"))), "closed a connection"),
    ],
)
async def test_anything_but_the_answer_asked_for_ends_the_run(server: Server, says: str) -> None:
    async with serving(server) as url:
        with pytest.raises(UnexpectedStream, match=says):
            await generate(StreamPlan(url, [[b"a"]], 4))


async def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(UnexpectedStream, match=r"no connection to 127\.0\.0\.1:1"):
        await generate(StreamPlan("http://127.0.0.1:1/", [[b"a"]], 4))
