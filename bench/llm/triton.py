"""The language model on Triton, asked over gRPC by the client that the orchestrator uses: the mesh without the rest."""

import asyncio
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import uvloop

from bench.kit import BenchError
from bench.kit.children import end, stop
from bench.kit.resources import tree_processor
from bench.llm.engine import Engine
from bench.load.streams import WAVE_SECONDS, StreamPlan, Streams, Tally, Trace, UnexpectedStream
from infra.local.ports import PortBook
from services.llm.triton.client import LlmClient
from services.llm.triton.protocol import Generate, LlmFinished, LlmPrompt, Text
from services.models import triton
from services.models.settings import ModelsSettings
from services.runtime.errors import DomainError

READY_SECONDS = 300.0
SAMPLING = ("max_tokens", "ignore_eos", "temperature")


@dataclass(frozen=True, slots=True)
class Triton:
    """A Triton that serves the model. `url` is host:port of its gRPC service."""

    url: str
    pid: int

    def processor(self) -> dict[str, float]:
        """Seconds of one core used since its start, by process."""
        return tree_processor(self.pid)


class TritonLoad:
    """Carries plans for the OpenAI face out on Triton itself."""

    def run(self, plan: StreamPlan) -> Streams:
        """Raises UnexpectedStream where anything but the expected is answered."""
        return uvloop.run(_generate(plan))


async def _generate(plan: StreamPlan) -> Streams:
    tally = Tally(plan.tokens)
    async with grpc.aio.insecure_channel(plan.url) as channel:
        llm = LlmClient(channel)
        began, processor = time.perf_counter(), time.process_time()
        try:
            for wave in plan.waves:
                payloads = [_request(body) for body in wave]
                started = time.perf_counter()
                traces = await asyncio.gather(*(_answer(llm, payload) for payload in payloads))
                tally.seconds += time.perf_counter() - started
                for trace in traces:
                    tally.add(trace)
        except DomainError as error:
            raise UnexpectedStream(f"Triton says: {error.message}") from error
        finally:
            await llm.aclose()
        return tally.total((time.process_time() - processor) / (time.perf_counter() - began))


async def _answer(llm: LlmClient, request: Generate) -> Trace:
    trace = Trace()
    async with aclosing(llm.generate(request, timeout=WAVE_SECONDS)) as arriving:
        async for chunks in arriving:
            now = time.perf_counter()
            if size := sum(len(chunk.text) for chunk in chunks if isinstance(chunk, Text)):
                trace.times.append(now)
                trace.sizes.append(size)
            for chunk in chunks:
                if isinstance(chunk, LlmFinished):
                    trace.usage = {"prompt_tokens": chunk.prompt, "completion_tokens": chunk.completion}
    return trace


def _request(body: bytes) -> Generate:
    asked = json.loads(body)
    return Generate("", LlmPrompt(asked["messages"]), {name: asked[name] for name in SAMPLING})


@contextmanager
def serving(engine: Engine, say: Callable[[str], None]) -> Iterator[Triton]:
    """A new Triton with the engine, stopped at the end. Raises BenchError where it does not start."""
    settings = ModelsSettings.model_validate({"llm": str(engine.model), **engine.models})
    with started(settings, engine.environment, say) as one:
        yield one


@contextmanager
def started(
    settings: ModelsSettings, environment: Mapping[str, str], say: Callable[[str], None], llm_alone: bool = False
) -> Iterator[Triton]:
    """A new Triton, stopped at the end. Raises BenchError where it does not start, with what it said."""
    with (
        closing(PortBook()) as book,
        tempfile.TemporaryDirectory(prefix="headworks-bench-") as folder,
        (Path(folder) / "triton.log").open("wb") as log,
    ):
        listen = triton.Listen(grpc=book.take(), metrics=book.take())
        command = triton.prepare(Path(folder) / "data", listen, settings, llm_alone=llm_alone)
        say(f"starting Triton at port {listen.grpc}")
        process = subprocess.Popen(
            command.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={**command.env, **environment},
        )  # fmt: skip
        try:
            began = time.monotonic()
            url = listen.target
            asyncio.run(_wait_ready(process, url, Path(log.name)))
            say(f"Triton is ready at {url} after {time.monotonic() - began:.1f} s")
            yield Triton(url, process.pid)
        finally:
            stop(process)


async def _wait_ready(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    async with grpc.aio.insecure_channel(url) as channel:
        llm = LlmClient(channel)
        try:
            while not await llm.ready():
                if process.poll() is not None:
                    raise BenchError(f"Triton ended with {process.returncode}; it said:\n{end(log)}")
                if time.monotonic() > until:
                    raise BenchError(f"Triton was not ready after {READY_SECONDS:g} s; it said:\n{end(log)}")
                await asyncio.sleep(0.2)
        finally:
            await llm.aclose()
