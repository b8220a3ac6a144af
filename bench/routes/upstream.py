"""An upstream that streams a short answer, and does what it is told instead: 429, 500, garbage. Killed and frozen it is
from outside."""

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from bench.kit import BenchError
from bench.kit.children import end
from infra.local.ports import HOST

READY_SECONDS = 20.0
CHUNKS = 8
PAUSE_SECONDS = 0.01
"""Before the first chunk: what a model would think."""
MODES = ("well", "429", "500", "garbage")
_HEAD = {"id": "chatcmpl-r", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m"}


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({**_HEAD, "choices": [choice]}).encode() + b"\n\n"


_USAGE = {**_HEAD, "choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": CHUNKS, "total_tokens": 28}}
ANSWER = b"".join([
    _event({"role": "assistant", "content": ""}), *(_event({"content": f"word{n} "}) for n in range(CHUNKS)),
    _event({}, "stop"), b"data: " + json.dumps(_USAGE).encode() + b"\n\n", b"data: [DONE]\n\n",
])  # fmt: skip
_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%s"
_ERROR = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
_SAID = b'{"error":{"message":"no"}}'


class Server:
    """Answers requests of HTTP/1.1 with a body, one after the other on each connection."""

    def __init__(self) -> None:
        self._mode = "well"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-l")]
                await reader.readexactly(int(lengths[0]) if lengths else 0)
                path = head.split(b" ", 2)[1].decode()
                if path.startswith("/mode/"):
                    self._mode = path.removeprefix("/mode/")
                    writer.write(_ERROR % (b"200 OK", 2, b"{}"))
                else:
                    writer.write(await self._answer())
                await writer.drain()
        writer.close()

    async def _answer(self) -> bytes:
        match self._mode:
            case "429":
                return _ERROR % (b"429 Too Many Requests", len(_SAID), _SAID)
            case "500":
                return _ERROR % (b"500 Internal Server Error", len(_SAID), _SAID)
            case "garbage":
                garbage = b"data: {]]\n\n"
                return _STREAM % (len(garbage), garbage)
        await asyncio.sleep(PAUSE_SECONDS)
        return _STREAM % (len(ANSWER), ANSWER)


class FaultyUpstream:
    """It as a process of its own."""

    def __init__(self, port: int, log: Path) -> None:
        self._port = port
        self._log = log
        self.process = self._start()

    @property
    def base(self) -> str:
        return f"http://{HOST}:{self._port}/v1"

    def mode(self, mode: str) -> None:
        urllib.request.urlopen(f"http://{HOST}:{self._port}/mode/{mode}", timeout=5).close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "bench.routes.upstream", str(self._port)], stdout=out, stderr=out
            )
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until:
            with suppress(OSError):
                urllib.request.urlopen(f"http://{HOST}:{self._port}/mode/well", timeout=1).close()
                return process
            time.sleep(0.05)
        raise BenchError(f"an upstream did not start; it said:\n{end(self._log)}")


async def _main(port: int) -> None:
    server = await asyncio.start_server(Server().serve, HOST, port, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
