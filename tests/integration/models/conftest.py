"""A real Triton from its wheel, on free ports, in a temporary folder."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from services.models.layout import clear_shared_memory, shared_memory_prefix
from services.models.settings import ModelsSettings
from services.models.triton import NotReady, Ports, prepare, wait_ready
from services.runtime.triton import TritonClient

READY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running Triton."""

    process: subprocess.Popen[bytes]
    ports: Ports
    log: Path

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.ports.grpc}"


def free_ports() -> Ports:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return Ports(*(item.getsockname()[1] for item in sockets))


@contextmanager
def running(folder: Path, settings: ModelsSettings) -> Iterator[Server]:
    """Triton, ready; with its stubs it is gone at the end, whatever happens in between."""
    ports, log = free_ports(), folder / "triton.log"
    command = prepare(folder, ports, settings)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command.argv, env=command.env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    server = Server(process, ports, log)
    try:
        try:
            asyncio.run(wait_ready(server.target, READY_SECONDS))
        except NotReady:
            pytest.fail(f"Triton did not start:\n{log.read_text()[-4000:]}")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        clear_shared_memory(shared_memory_prefix(folder))


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With the default settings, shared by all tests: leave it running."""
    with running(tmp_path_factory.mktemp("triton"), ModelsSettings()) as server:
        yield server


@pytest.fixture
async def client(triton: Server) -> AsyncIterator[TritonClient]:
    """A client of the shared server."""
    async with grpc.aio.insecure_channel(triton.target) as channel:
        yield TritonClient(channel)
