"""The same replicas asked in different ways: through the routes of services/llm, and one after the other."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import cycle

import uvloop

from bench.kit import BenchError
from bench.kit.figures import Latencies
from bench.kit.harness import Figures
from bench.prefix.workload import Conversation, Shape
from services.llm.catalogue.entry import ALL, CatalogueEntry, EngineKind
from services.llm.catalogue.route import Balance, RouteSpec, TargetSpec
from services.llm.chat import Declaration, Message, Role, Sampling
from services.llm.client import HttpClient
from services.llm.generation import Ended, Generation, Generator, Piece, Routed, Said
from services.llm.models import ModelFactory
from services.llm.route_report import RouteReport
from services.llm.triton.client import LlmClient
from services.llm.triton.engine import TritonEngine
from services.runtime.channels import open_channel
from services.runtime.errors import DomainError

RATE, HIT, FIRST, FIRST_P99, BUSIER = (
    "tokens/s", "of the prompts' tokens, from the prefix cache, %", "first token p50 ms", "first token p99 ms",
    "turns at the busier replica, %",
)  # fmt: skip
ANSWER_SECONDS = 300.0
ENTRY = CatalogueEntry("llm", EngineKind.TRITON, capabilities=ALL, timeout=ANSWER_SECONDS)

MakeGenerator = Callable[[Mapping[str, Generator]], Generator]


class RoundRobin:
    """Asks one replica after the other, whatever they do."""

    name = "round robin"

    def __init__(self, engines: Mapping[str, Generator]) -> None:
        self._first = next(iter(engines.values()))
        self._turns = cycle(engines.items())

    async def count(self, messages: Sequence[Message], tools: Sequence[Declaration] = ()) -> int:
        return await self._first.count(messages, tools)

    async def generate(self, generation: Generation) -> AsyncGenerator[Said, None]:
        place, engine = next(self._turns)
        yield Routed(RouteReport(self.name, place))
        async for said in engine.generate(generation):
            yield said


def by_prefix(engines: Mapping[str, Generator]) -> Generator:
    """As a mesh asks several replicas of its language model."""
    return _models(engines).handle(ENTRY).generator


def by_load(engines: Mapping[str, Generator]) -> Generator:
    models = _models(engines)
    models.handle(ENTRY)
    spec = RouteSpec("load", (TargetSpec(ENTRY.name),), first_token_seconds=ANSWER_SECONDS, balance=Balance.LOAD)
    return models.route(spec, {ENTRY.name: ENTRY}).generator


def _models(engines: Mapping[str, Generator]) -> ModelFactory:
    return ModelFactory(HttpClient(), lambda _: None, {EngineKind.TRITON: lambda entry: engines})


@dataclass
class _Tally:
    first: list[float] = field(default_factory=list)
    read: int = 0
    cached: int = 0
    written: int = 0
    places: Counter[str] = field(default_factory=Counter)


class Load:
    """Takes turns, all on one loop: gRPC wants no other after it in a process."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)

    def run(
        self, make: MakeGenerator, urls: Sequence[str], turns: Sequence[Conversation], callers: int, shape: Shape
    ) -> Figures:
        """Take the turns in their order, `callers` at once. Raises BenchError where one is not answered."""
        try:
            return self._runner.run(_run(make, urls, turns, callers, shape))
        except* DomainError as errors:
            raise BenchError(f"a turn was not answered: {errors.exceptions[0]}") from None


async def _run(
    make: MakeGenerator, urls: Sequence[str], turns: Sequence[Conversation], callers: int, shape: Shape
) -> Figures:
    tally = _Tally()
    async with AsyncExitStack() as resources:
        engines: dict[str, Generator] = {}
        for url in urls:
            llm = LlmClient(await resources.enter_async_context(open_channel(url)))
            resources.push_async_callback(llm.aclose)
            engines[url] = TritonEngine(llm, ANSWER_SECONDS)
        generator, waiting = make(engines), iter(turns)
        locks = {id(one): asyncio.Lock() for one in turns}

        async def caller() -> None:
            for conversation in waiting:
                async with locks[id(conversation)]:
                    await _turn(generator, conversation, shape, tally)

        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(caller())
        seconds = time.perf_counter() - started
    first = Latencies.of(tally.first)
    return {
        RATE: tally.written / seconds,
        HIT: 100 * tally.cached / tally.read,
        FIRST: first.p50,
        FIRST_P99: first.p99,
        BUSIER: 100 * max(tally.places.values()) / sum(tally.places.values()),
    }


async def _turn(generator: Generator, conversation: Conversation, shape: Shape, tally: _Tally) -> None:
    conversation.messages.append(Message(Role.USER, conversation.questions.pop(0)))
    sampling = Sampling(temperature=0, max_tokens=shape.answer, ignore_eos=True)
    started, first, answer = time.perf_counter(), 0.0, ""
    async for said in generator.generate(Generation(tuple(conversation.messages), sampling=sampling)):
        match said:
            case Routed(report):
                tally.places[report.target] += 1
            case Piece():
                first = first or time.perf_counter() - started
                answer += said.text
            case Ended(_, tokens):
                tally.read += tokens.read
                tally.cached += tokens.cached
                tally.written += tokens.written
    tally.first.append(first or time.perf_counter() - started)
    conversation.messages.append(Message(Role.ASSISTANT, answer))
