"""The peer: vLLM's own OpenAI server, of the same wheel and with the same weights and settings."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.kit import BenchError
from bench.kit.children import end, stop
from bench.kit.resources import tree_processor
from bench.llm.engine import Engine
from infra.local.ports import HOST, PortBook
from infra.local.probes import get

READY_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Peer:
    """A running server."""

    url: str
    name: str
    pid: int

    def processor(self) -> dict[str, float]:
        """Seconds of one core used since its start, by process."""
        return tree_processor(self.pid)


@contextmanager
def serving(engine: Engine, say: Callable[[str], None], name: str = "llm") -> Iterator[Peer]:
    """A new server, stopped at the end. Raises BenchError where it does not start, with what it said."""
    with (
        closing(PortBook()) as book,
        tempfile.TemporaryDirectory(prefix="headworks-bench-") as folder,
        (Path(folder) / "serve.log").open("wb") as log,
    ):
        port = book.take()
        say(f"starting vLLM's own server at port {port}")
        process = subprocess.Popen(
            [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *engine.arguments(name, port)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, **engine.environment},
        )  # fmt: skip
        try:
            peer = Peer(f"http://{HOST}:{port}", name, process.pid)
            started = time.monotonic()
            _wait_ready(process, peer, Path(log.name))
            say(f"vLLM's own server is ready at {peer.url} after {time.monotonic() - started:.1f} s")
            yield peer
        finally:
            stop(process)


def _wait_ready(process: "subprocess.Popen[bytes]", peer: Peer, log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while not _healthy(peer):
        if process.poll() is not None:
            raise BenchError(f"vLLM's server ended with {process.returncode}; it said:\n{end(log)}")
        if time.monotonic() > until:
            raise BenchError(f"vLLM's server was not ready after {READY_SECONDS:g} s; it said:\n{end(log)}")
        time.sleep(0.2)


def _healthy(peer: Peer) -> bool:
    return asyncio.run(get(urlsplit(peer.url).port or 0, "/health")).status == 200
