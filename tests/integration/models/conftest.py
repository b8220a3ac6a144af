"""A real Triton from its wheel, on free ports, in a temporary folder."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from services.llm.triton.client import LlmClient
from services.models.layout import LLM, clear_shared_memory, shared_memory_prefix
from services.models.settings import ModelsSettings
from services.models.triton import Listen, TritonCommand, models, prepare
from services.runtime.triton import TritonClient
from tests.fakes.random_llm import make_adapter, make_llm

READY_SECONDS = 180.0
LLM_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running Triton."""

    process: subprocess.Popen[bytes]
    ports: Listen
    log: Path
    llm_metrics: int = 0

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.ports.grpc}"


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]


def start(command: TritonCommand, log: Path, wanted: Sequence[str], target: str) -> "subprocess.Popen[bytes]":
    """Triton, ready."""
    limit = LLM_SECONDS if LLM in wanted else READY_SECONDS
    with log.open("wb") as output:
        process = subprocess.Popen(
            command.argv, env=command.env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    if not asyncio.run(comes_up(process, target, wanted, limit)):
        stop(process)
        pytest.fail(f"Triton did not start:\n{log.read_text()[-4000:]}")
    return process


async def comes_up(process: "subprocess.Popen[bytes]", target: str, wanted: Sequence[str], limit: float) -> bool:
    """Whether it was ready within `limit` seconds and before it died."""
    async with grpc.aio.insecure_channel(target, options=[("grpc.max_reconnect_backoff_ms", 200)]) as channel:
        client = TritonClient(channel)
        try:
            async with asyncio.timeout(limit):
                while process.poll() is None:
                    if await client.ready(wanted):
                        return True
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pass
    return False


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End it, and all that it started."""
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def running(folder: Path, settings: ModelsSettings) -> Iterator[Server]:
    """Triton, ready; with its stubs and its shared memory it is gone at the end, whatever happens in between."""
    try:
        with started(folder, settings) as server:
            yield server
    finally:
        clear_shared_memory(shared_memory_prefix(folder))


@contextmanager
def started(folder: Path, settings: ModelsSettings) -> Iterator[Server]:
    """Likewise, but where it was killed its shared memory stays."""
    grpc_port, metrics_port, llm_metrics = free_ports(3)
    ports, log = Listen(grpc_port, metrics_port), folder / "triton.log"
    if settings.llm:
        settings = settings.model_copy(update={"llm_metrics_port": llm_metrics})
    command = prepare(folder, ports, settings, {**os.environ, "HF_HUB_OFFLINE": "1"})
    process = start(command, log, models(settings), f"127.0.0.1:{ports.grpc}")
    server = Server(process, ports, log, settings.llm_metrics_port)
    try:
        yield server
    finally:
        stop(process)


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With the default settings, shared by all tests: leave it running."""
    with running(tmp_path_factory.mktemp("triton"), ModelsSettings()) as server:
        yield server


@pytest.fixture(scope="session")
def random_llm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that writes nonsense."""
    return make_llm(tmp_path_factory.mktemp("random_llm"), context=32768)


@pytest.fixture(scope="session")
def llm_server(random_llm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With a language model that runs four sequences at once and lets four more wait. Shared: leave it running."""
    adapter = make_adapter(tmp_path_factory.mktemp("adapter"), random_llm)
    settings = ModelsSettings(
        llm=str(random_llm), llm_max_sequences=4, llm_max_queue=4, llm_lora=f"other={adapter}", llm_kv_cache_gib=0.25,
        llm_health_seconds=0.5, passage_instances=1,
    )  # fmt: skip
    with running(tmp_path_factory.mktemp("llm"), settings) as server:
        yield server


@pytest.fixture
async def llm(llm_server: Server) -> AsyncIterator[LlmClient]:
    """A client of the shared language model."""
    async with grpc.aio.insecure_channel(llm_server.target) as channel:
        client = LlmClient(channel)
        yield client
        await client.aclose()


@pytest.fixture
async def client(triton: Server) -> AsyncIterator[TritonClient]:
    """A client of the shared server."""
    async with grpc.aio.insecure_channel(triton.target) as channel:
        yield TritonClient(channel)
