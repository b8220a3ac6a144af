"""An upstream that speaks OpenAI's chat completions over real HTTP/1.1, and does as it is told."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

Chunk = Mapping[str, Any]
HEAD: Chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_730_000_000, "model": "small-2026"}


class Exchange:
    """One request, and what to answer it with."""

    def __init__(self, headers: Mapping[str, str], body: Any, reader: asyncio.StreamReader, writer: Any) -> None:
        self.headers = headers
        self.body = body
        self._reader = reader
        self._writer = writer

    async def head(self, status: int = 200, kind: str = "text/event-stream", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} Said", f"content-type: {kind}", "transfer-encoding: chunked"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self._write("\r\n".join([*lines, "", ""]).encode())

    async def send(self, data: bytes) -> None:
        await self._write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def end(self) -> None:
        await self._write(b"0\r\n\r\n")

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        with suppress(ConnectionError):
            while await self._reader.read(1 << 16):
                pass

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


Behaviour = Callable[[Exchange], Awaitable[None]]


def event(chunk: Chunk | str) -> bytes:
    return f"data: {chunk if isinstance(chunk, str) else json.dumps(chunk)}\n\n".encode()


def delta(finish: str | None = None, **said: Any) -> Chunk:
    """A chunk of a streamed answer."""
    return {**HEAD, "choices": [{"index": 0, "delta": said, "finish_reason": finish}]}


def calls(*wanted: tuple[str, str]) -> Chunk:
    """A chunk that calls tools, each by its name and its arguments, and ends the answer."""
    functions = [{"name": name, "arguments": arguments} for name, arguments in wanted]
    listed = [
        {"index": index, "id": f"call_{index}", "type": "function", "function": function}
        for index, function in enumerate(functions)
    ]
    return delta("tool_calls", tool_calls=listed)


def usage(prompt: int, completion: int, cached: int = 0) -> Chunk:
    """The chunk with the usage, which has no choices."""
    counted = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {**HEAD, "choices": [], "usage": {**counted, "prompt_tokens_details": {"cached_tokens": cached}}}


def streams(*chunks: Chunk | str, done: bool = True) -> Behaviour:
    """Answers with these chunks."""

    async def behave(exchange: Exchange) -> None:
        await exchange.head()
        for chunk in chunks:
            await exchange.send(event(chunk))
        if done:
            await exchange.send(event("[DONE]"))
        await exchange.end()

    return behave


def raw(*portions: bytes, kind: str = "text/event-stream", status: int = 200, **headers: str) -> Behaviour:
    """Answers with these bytes."""

    async def behave(exchange: Exchange) -> None:
        await exchange.head(status, kind, **headers)
        for portion in portions:
            await exchange.send(portion)
        await exchange.end()

    return behave


def fails(status: int, message: str = "", code: Any = None, **headers: str) -> Behaviour:
    """Answers with an error in OpenAI's form."""
    body = json.dumps({"error": {"message": message, "type": "t", "param": None, "code": code}}).encode()
    return raw(body, kind="application/json", status=status, **headers)


async def hangs_up(exchange: Exchange) -> None:
    """Closes the connection without a word."""


class FakeOpenAi:
    """Behaves as told, once each, and then as told last. `left` is set when a client closed its connection early."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self._behaviours = list(behaviours)
        self.exchanges: list[Exchange] = []
        self.connections = 0
        self.url = ""

    @property
    def bodies(self) -> list[Any]:
        return [exchange.body for exchange in self.exchanges]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (exchange := await _read(reader, writer)) is not None:
                self.exchanges.append(exchange)
                behave = self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]
                await behave(exchange)
                if behave is hangs_up or writer.is_closing():
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FakeOpenAi"]:
        tasks: set[asyncio.Task[None]] = set()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._connected(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        try:
            yield self
        finally:
            server.close()
            for task in list(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange | None:
    """The next request of a connection; None at its end."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs} | {":path": head[0].split()[1]}
    body = await reader.readexactly(int(headers["content-length"]))
    return Exchange(headers, json.loads(body), reader, writer)
