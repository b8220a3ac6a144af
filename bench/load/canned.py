"""An OpenAI-compatible upstream that answers at once: it calls a tool as often as it is configured to, then it answers.

What it answers is written beforehand, so that what a run takes is next to nothing but the run's own.
"""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from infra.local.ports import HOST

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
MODEL = "canned"
TOOL = "calculator"
USAGE = {"prompt_tokens": 50, "completion_tokens": 10, "total_tokens": 60}


class Canned:
    """Serves one connection after another on the loop that it is started on. `calls`: how often it calls the tool."""

    def __init__(self, calls: int) -> None:
        self._answers = [_response(number, calls) for number in range(calls + 1)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests until the other side leaves."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                body = await _body(reader, head)
                results = sum(message["role"] == "tool" for message in json.loads(body)["messages"])
                writer.write(self._answers[min(results, len(self._answers) - 1)])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    if b"transfer-encoding: chunked" not in head:
        length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
        return await reader.readexactly(int(length.partition(b":")[2]))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def _response(results: int, calls: int) -> bytes:
    """What follows so many results of the tool: another call, or the answer."""
    deltas: list[dict[str, object]]
    if results < calls:
        function = {"name": TOOL, "arguments": json.dumps({"expression": f"{results} + 1"})}
        call = {"index": 0, "id": f"call_{results}", "type": "function", "function": function}
        deltas, finish = [{"role": "assistant", "tool_calls": [call]}], "tool_calls"
    else:
        deltas, finish = [{"role": "assistant", "content": "It is"}, {"content": f" {calls}."}], "stop"
    choices: list[dict[str, object]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": finish})
    chunks = [_chunk(choices=[choice]) for choice in choices]
    return HEAD + b"".join(map(_framed, [*chunks, _chunk(choices=[], usage=USAGE), "[DONE]"])) + b"0\r\n\r\n"


def _chunk(**fields: object) -> str:
    return json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 0, "model": MODEL, **fields})


def _framed(event: str) -> bytes:
    data = f"data: {event}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(data), data)


@contextmanager
def serving(calls: int) -> Iterator[str]:
    """The base URL of an upstream in a thread of its own."""
    loop = asyncio.new_event_loop()
    canned = Canned(calls)
    server = loop.run_until_complete(asyncio.start_server(canned.serve, HOST, 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://{HOST}:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        asyncio.run_coroutine_threadsafe(_close(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _close(server: asyncio.Server) -> None:
    """Stop listening, and let what still serves end."""
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
