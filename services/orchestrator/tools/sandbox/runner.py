"""Runs code in sandboxed processes."""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from services.orchestrator.tools.sandbox.libc import SandboxRefused
from services.runtime.children import DiedAtStart, ended, once_more
from services.runtime.fairness import FairLimit

ROOT = Path(__file__).parents[4]
BOOTSTRAP = (
    "import sys; sys.path.insert(0, sys.argv.pop()); "
    "from services.orchestrator.tools.sandbox import launch; launch.main()"
)
START_SECONDS = 10.0
# Calls that may wait for a process.
QUEUE = 256
POLL_SECONDS = 0.1
DRAIN_SECONDS = 1.0
CHUNK = 1 << 16
T = TypeVar("T")
D = TypeVar("D")

__all__ = ["Sandbox", "SandboxLimits", "SandboxOutcome", "SandboxRefused", "Stop"]


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What one piece of code may use. `seconds` of time, and of CPU; `output` in bytes, what is beyond ends it."""

    seconds: float = 10.0
    memory_mib: int = 256
    scratch_mib: int = 16
    output: int = 64 << 10


class Stop(StrEnum):
    """The limit that ended it."""

    TIME = "time"
    OUTPUT = "output"
    SCRATCH = "scratch"


@dataclass(frozen=True, slots=True)
class SandboxOutcome:
    """How it ended. `status` as of a process: 0 for success, negative for a signal; `stopped_for` the limit that ended
    it."""

    output: str
    status: int
    layers: tuple[str, ...]
    stopped_for: Stop | None = None


class Sandbox:
    """Starts a process for each piece of code. Nothing of it is left when `run` returns, however it does. `places`
    bound the processes at once: whoever runs code for a caller holds one."""

    def __init__(self, concurrency: int = 4, *, interpreter: str = "", namespaces: bool = True) -> None:
        """`interpreter`: the Python that runs the code, by default the one below this one's environment. `namespaces`:
        use them where they can be had."""
        self._interpreter = os.path.realpath(interpreter or getattr(sys, "_base_executable", sys.executable))
        self.places = FairLimit(concurrency, QUEUE, spare=True)
        self._namespaces = namespaces

    async def run(self, code: str, limits: SandboxLimits) -> SandboxOutcome:
        """Raises SandboxRefused where the protection that it needs cannot be had, or no process."""
        folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="headworks-sandbox-")
        try:
            return await once_more(lambda: self._run(code, limits, folder))
        except DiedAtStart as error:
            raise SandboxRefused(str(error)) from error
        finally:
            # Even for a caller who was cancelled.
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))

    async def _run(self, code: str, limits: SandboxLimits, folder: str) -> SandboxOutcome:
        order = {
            "folder": folder,
            "cpu_seconds": limits.seconds,
            "memory_mib": limits.memory_mib,
            "scratch_mib": limits.scratch_mib,
            "namespaces": self._namespaces,
        }
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                self._interpreter,
                "-I", "-S", "-B", "-X", "utf8", "-c", BOOTSTRAP, str(writing), str(ROOT),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
                env={}, cwd=folder, pass_fds=(writing,), start_new_session=True,
            )  # fmt: skip
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        try:
            status = asyncio.create_task(asyncio.to_thread(_read_all, reading))
            return await self._watch(process, json.dumps(order).encode() + b"\n" + code.encode("utf-8", "replace"),
                                     status, limits, folder)  # fmt: skip
        finally:
            _kill(process)
            await asyncio.shield(ended(process))

    async def _watch(
        self,
        process: asyncio.subprocess.Process,
        program: bytes,
        status: "asyncio.Task[str]",
        limits: SandboxLimits,
        folder: str,
    ) -> SandboxOutcome:
        assert process.stdin is not None  # noqa: S101 (for the type checker)
        assert process.stdout is not None  # noqa: S101 (likewise)
        try:
            process.stdin.write(program)
            await process.stdin.drain()
            process.stdin.close()
        except (OSError, RuntimeError):
            pass  # it ended before it read; its status says why
        word, _, told = (await _within(START_SECONDS, status, "")).partition(": ")
        if not word:
            raise DiedAtStart("the sandbox", await _within(DRAIN_SECONDS, process.wait(), None))
        if word != "ready":
            raise SandboxRefused(told)
        watch = _Watch(limits, None if "namespaces" in told.split() else folder)
        await watch.read(process.stdout)
        if watch.stopped_for:
            _kill(process)
            await watch.drain(process.stdout)
        status_code = await watch.wait(process)
        if watch.late and status_code in (-signal.SIGXCPU, -signal.SIGKILL):
            watch.stopped_for = watch.stopped_for or Stop.TIME  # the kernel, which counts its CPU time, was first
        return SandboxOutcome(watch.text, status_code, tuple(told.split()), watch.stopped_for)


class _Watch:
    """Reads the output until the code ends or passes a limit. `folder`: the scratch folder, where nothing but we limits
    it."""

    def __init__(self, limits: SandboxLimits, folder: str | None) -> None:
        self._limits = limits
        self._folder = folder
        self._deadline = time.monotonic() + limits.seconds
        self._output = bytearray()
        self.stopped_for: Stop | None = None

    @property
    def text(self) -> str:
        return self._output[: self._limits.output].decode("utf-8", "replace")

    @property
    def late(self) -> bool:
        return time.monotonic() >= self._deadline

    async def read(self, stream: asyncio.StreamReader) -> None:
        while self.stopped_for is None:
            wait = max(0.0, self._deadline - time.monotonic())
            try:
                # Not wait_for: Python 3.11's loses a cancellation that comes together with a chunk.
                async with asyncio.timeout(min(wait, POLL_SECONDS) if self._folder else wait):
                    chunk = await stream.read(CHUNK)
            except TimeoutError:
                await self._look()
                continue
            if not chunk:
                return
            self._output += chunk
            if len(self._output) > self._limits.output:
                self.stopped_for = Stop.OUTPUT

    async def drain(self, stream: asyncio.StreamReader) -> None:
        """Throw away what is left: asyncio tells of a process's end only once its output has ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while await stream.read(CHUNK):
                    pass

    async def wait(self, process: asyncio.subprocess.Process) -> int:
        """The exit status, of code that may go on without its output too."""
        try:
            async with asyncio.timeout(max(0.0, self._deadline - time.monotonic()) + 1):
                return await process.wait()
        except TimeoutError:
            self.stopped_for = Stop.TIME
            _kill(process)
            return await process.wait()

    async def _look(self) -> None:
        if self.late:
            self.stopped_for = Stop.TIME
        elif self._folder and await asyncio.to_thread(_size, Path(self._folder)) > self._limits.scratch_mib << 20:
            self.stopped_for = Stop.SCRATCH


def _size(folder: Path) -> int:
    """Bytes of all files beneath the folder, as far as they stay while it looks."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size
    return total


async def _within(seconds: float, waited: Awaitable[T], default: D) -> T | D:
    """What is waited for, or `default` where it does not come in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await waited
    return default


def _read_all(descriptor: int) -> str:
    with os.fdopen(descriptor, "rb") as pipe:
        return pipe.read(4096).decode("utf-8", "replace")


def _kill(process: asyncio.subprocess.Process) -> None:
    """End the process and its group, if it has not ended by itself."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
