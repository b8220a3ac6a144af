"""The peer: vLLM's own OpenAI server, of the same wheel and with the same weights and settings."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from bench.errors import BenchError
from infra.local.edge_probe import get
from infra.local.ports import HOST, PortBook

READY_SECONDS = 300.0
STOP_SECONDS = 30.0
SHOWN_LINES = 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Engine:
    """What both engines are told."""

    model: Path
    context: int = 2048
    sequences: int = 256
    cache_gib: int = 2
    threads: str = "auto"

    @property
    def environment(self) -> dict[str, str]:
        """For vLLM itself, wherever it runs."""
        return {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_OMP_THREADS_BIND": self.threads}

    @property
    def settings(self) -> dict[str, str]:
        """The mesh's."""
        own = {
            "DTYPE": "bfloat16",
            "MAX_MODEL_LEN": str(self.context),
            "MAX_SEQUENCES": str(self.sequences),
            "KV_CACHE_GIB": str(self.cache_gib),
            "PREFIX_CACHING": "true",
            "MAX_QUEUE": str(self.sequences),
        }
        return {**self.environment, **{f"HEADWORKS_MODELS_LLM_{name}": value for name, value in own.items()}}

    def arguments(self, name: str, port: int) -> list[str]:
        """vLLM's server's."""
        own = {
            "model": self.model,
            "served-model-name": name,
            "dtype": "bfloat16",
            "max-model-len": self.context,
            "max-num-seqs": self.sequences,
            "kv-cache-memory-bytes": self.cache_gib * GIB,
            "host": HOST,
            "port": port,
        }
        pairs = [part for name, value in own.items() for part in (f"--{name}", str(value))]
        return [*pairs, "--enable-prefix-caching", "--disable-uvicorn-access-log"]


@dataclass(frozen=True, slots=True)
class Peer:
    """A running server."""

    url: str
    name: str
    pid: int

    def processor(self) -> dict[str, float]:
        """Seconds of one core used since its start, by process."""
        root = psutil.Process(self.pid)
        found: dict[str, float] = {}
        for process in (root, *root.children(recursive=True)):
            times = process.cpu_times()
            found[process.name()] = found.get(process.name(), 0.0) + times.user + times.system
        return found


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
            _stop(process)


def _wait_ready(process: "subprocess.Popen[bytes]", peer: Peer, log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while not _healthy(peer):
        if process.poll() is not None:
            raise BenchError(f"vLLM's server ended with {process.returncode}; it said:\n{_end(log)}")
        if time.monotonic() > until:
            raise BenchError(f"vLLM's server was not ready after {READY_SECONDS:g} s; it said:\n{_end(log)}")
        time.sleep(0.2)


def _healthy(peer: Peer) -> bool:
    return asyncio.run(get(urlsplit(peer.url).port or 0, "/health")).status == 200


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """The server, and the processes of its engine where they outlive it."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, left = psutil.wait_procs(family, timeout=5)
    for member in left:
        member.kill()


def _end(file: Path) -> str:
    return "\n".join(f"  | {line}" for line in file.read_text("utf-8", "replace").splitlines()[-SHOWN_LINES:])
