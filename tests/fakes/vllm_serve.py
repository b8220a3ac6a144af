"""vLLM's own OpenAI server, as a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.integration.control.harness import free_port

READY_SECONDS = 400.0


@contextmanager
def vllm_serve(model: Path, name: str, log: Path, *more: str, context: int = 1024) -> Iterator[str]:
    """The server's base URL. Gone at the end, its engine too."""
    port = free_port()
    arguments = {"model": model, "served-model-name": name, "host": "127.0.0.1", "port": port, "max-model-len": context}
    flags = [part for key, value in arguments.items() for part in (f"--{key}", str(value))]
    environment = {
        **os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *flags, "--enforce-eager", *more],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True,
        )  # fmt: skip
    try:
        _wait(child, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        _end(child)


def _wait(child: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while not _well(url):
        assert child.poll() is None, log.read_text(errors="replace")[-4000:]
        assert time.monotonic() < end, log.read_text(errors="replace")[-4000:]
        time.sleep(0.2)


def _well(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _end(child: "subprocess.Popen[bytes]") -> None:
    """The server and all it started share a session."""
    child.terminate()
    with suppress(subprocess.TimeoutExpired):
        child.wait(20)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait(10)
