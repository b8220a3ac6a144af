"""Asks per second and their latency through the edge, beside the same work in one Python process."""

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.asks.single import Single
from bench.kit import BenchError
from bench.kit.command import Say, execute, parser, positive
from bench.kit.figures import Bound, Goal, paired
from bench.kit.harness import OTHERS, Case, Figures, Results, Side, alternate
from bench.kit.machine import Meter
from bench.kit.mesh import Mesh, running
from bench.kit.report import Extra, Report
from bench.kit.resources import Costs, cost_table, memory, processor, spent
from bench.load import rpc
from bench.load.__main__ import LoadGenerator, LoadPlan
from bench.load.worker import Worker
from bench.xquad import corpus as xquad

COLLECTION = "bench-asks"
PATH = "/v1/chat/completions"
SEED = 1
RATE, P50, P90, P99, FIRST, LOADER = "asks/s", "p50 ms", "p90 ms", "p99 ms", "first byte p50 ms", "cores of load"
MESH, STREAM, SINGLE, TUNED = "mesh", "mesh, streamed", "one process", "one process, tuned"
NOTES = {
    SINGLE: "one process: sentence-transformers as it comes (float32, torch's own number of threads), qdrant_edge and "
    "the same choice of sentences, called in process from as many threads as there are connections.",
    TUNED: "one process, tuned: the same with bfloat16 weights and one torch thread.",
}
EXAMPLES = """\
  python -m bench.asks
  python -m bench.asks --connections 16 --rounds 5 --json asks.json
  python -m bench.asks --mesh .headworks --seconds 10"""


class MeshSide:
    """Asks through Envoy, from a load generator in its own process."""

    def __init__(self, mesh: Mesh, loader: Worker[LoadGenerator], questions: Sequence[str], times: "Times") -> None:
        self._mesh = mesh
        self._loader = loader
        self._questions = questions
        self._times = times
        self.costs: dict[int, Costs] = {}

    def run(self, connections: int, stream: bool) -> Figures:
        plan = self._plan(connections, stream)
        before, meter = processor(self._mesh.state), Meter()
        load = self._loader.call(LoadGenerator.run, plan)
        took = spent(before, processor(self._mesh.state))
        others = meter.others(sum(took.values())) - load.processor
        if not stream:
            self.costs.setdefault(connections, Costs()).add(took, load.total)
        figures = {RATE: load.rate, P50: load.latency.p50, P90: load.latency.p90, P99: load.latency.p99}
        return {
            **figures,
            LOADER: load.processor,
            OTHERS: max(others, 0.0),
            **({FIRST: load.first.p50} if stream else {}),
        }

    def _plan(self, connections: int, stream: bool) -> LoadPlan:
        return LoadPlan(
            url=self._mesh.url + PATH,
            bodies=[_body(question, stream) for question in self._questions],
            connections=connections,
            seconds=self._times.seconds,
            warm_up=self._times.warm_up,
            headers={"authorization": f"Bearer {self._mesh.key}"},
            expect=b"data: [DONE]" if stream else b'"choices"',
        )


@dataclass(frozen=True, slots=True)
class Times:
    """Of one side in one round, in seconds."""

    seconds: float
    warm_up: float


def _body(question: str, stream: bool) -> bytes:
    asked = {"model": "rag", "messages": [{"role": "user", "content": question}], "stream": stream}
    return json.dumps({**asked, "metadata": {"collection": COLLECTION}}).encode()


def _ask_single(single: Worker[Single], questions: Sequence[str], times: Times, threads: int) -> Figures:
    meter = Meter()
    asked = single.call(Single.load, questions, threads, times.seconds, times.warm_up)
    figures = {RATE: asked.rate, P50: asked.latency.p50, P90: asked.latency.p90, P99: asked.latency.p99}
    return {**figures, OTHERS: meter.others(asked.processor)}


async def prepare(mesh: Mesh, corpus: xquad.Corpus) -> None:
    """One document and one passage a paragraph, in a collection of the benchmark's own. Raises BenchError."""
    async with rpc.client(mesh) as client:
        await client.replace(COLLECTION)
        documents = [rpc.Document(paragraph.id, paragraph.text) for paragraph in corpus.paragraphs]
        summary = await client.ingest(COLLECTION, documents)
    if summary.passages != len(documents):
        raise BenchError(f"{len(documents)} paragraphs became {summary.passages} passages")


def measure(options: argparse.Namespace, say: Say) -> Report:
    """Start everything, measure, stop everything. Raises BenchError."""
    corpus = xquad.load(options.data, "en")
    times = Times(options.seconds, options.warm_up)
    questions = list(dict.fromkeys(question.text for question in corpus.questions))
    random.Random(SEED).shuffle(questions)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headworks-bench-")))
        mesh = stack.enter_context(running(options.mesh, say))
        idle = _memory(mesh)
        asyncio.run(prepare(mesh, corpus))
        ingested = _memory(mesh)
        loader = stack.enter_context(Worker(LoadGenerator))
        side = MeshSide(mesh, loader, questions, times)
        sides: dict[str, Callable[[int], Figures]] = {
            MESH: partial(side.run, stream=False), STREAM: partial(side.run, stream=True)
        }  # fmt: skip
        for name, dtype, threads in ((SINGLE, "float32", 0), (TUNED, "bfloat16", 1))[: options.peers]:
            say(f"{name}: loading sentence-transformers and ingesting")
            single = stack.enter_context(Worker(partial(Single, folder / dtype, dtype, threads)))
            single.call(Single.ingest, {paragraph.id: paragraph.text for paragraph in corpus.paragraphs}, True)
            sides[name] = partial(_ask_single, single, questions, times)
        results, cases = _alternate(sides, options, say)
        return _report(results, cases, options.rounds, mesh, side.costs, (idle, ingested, _memory(mesh)))


def _alternate(
    sides: dict[str, Callable[[int], Figures]], options: argparse.Namespace, say: Say
) -> tuple[Results, list[Case]]:
    cases = [
        Case(
            _case(connections),
            [Side(name, partial(run, connections), name in (SINGLE, TUNED)) for name, run in sides.items()],
        )
        for connections in options.connections
    ]
    return alternate(cases, options.rounds, say), cases


def _case(connections: int) -> str:
    return "1 connection" if connections == 1 else f"{connections} connections"


def _report(
    results: Results, cases: Sequence[Case], rounds: int, mesh: Mesh, costs: dict[int, Costs],
    memories: Sequence[dict[str, tuple[float, float]]],
) -> Report:  # fmt: skip
    seconds = mesh.state.seconds_to_ready or 0.0
    idle = sum(pss for pss, _ in memories[0].values())
    goals = [
        *_goals(results),
        Goal("idle mesh, MiB (PSS)", idle, Bound.UNDER, 3 * 1024),
        Goal("start to ready, s", seconds, Bound.AT_MOST, 20),
    ]
    return Report(
        title="asks through Envoy beside one process",
        cases=cases,
        results=results,
        goals=goals,
        rounds=rounds,
        extras=[
            cost_table("processor ms per ask, not streamed", {_case(key): cost for key, cost in costs.items()}),
            _memory_table(memories),
        ],
        notes=[
            f"{OTHERS}: what everything but the side itself used of the machine meanwhile; the less, the truer.",
            *(note for name, note in NOTES.items() if name in results[cases[0].name]),
            *([f"restarted meanwhile: {dict(mesh.restarts)}"] if mesh.restarts else []),
        ],
        facts={"seconds_to_ready": seconds, "restarts": dict(mesh.restarts)},
    )


def _goals(results: Results) -> list[Goal]:
    """Ratios and differences are medians of those of each round."""
    goals: list[Goal] = []
    alone, many = results.get(_case(1), {}), results.get(_case(16), {})
    for name, times in ((SINGLE, 3.0), (TUNED, 2.5)):
        if name in many:
            asks = paired(many[MESH], many[name], RATE)
            goals.append(Goal(f"16 connections, asks/s, times {name}", asks, Bound.AT_LEAST, times))
    if TUNED in many:
        goals.append(Goal(f"16 connections, p99 of {TUNED}", paired(many[MESH], many[TUNED], P99), Bound.UNDER, 1.0))
    if TUNED in alone:
        over = paired(alone[MESH], alone[TUNED], P50, lambda own, other: own - other)
        goals.append(Goal(f"alone, p50 ms over {TUNED}", over, Bound.AT_MOST, 5.0))
    return goals


def _memory(mesh: Mesh) -> dict[str, tuple[float, float]]:
    return {name: (held.pss, held.rss) for name, held in memory(mesh.state).items()}


def _memory_table(memories: Sequence[dict[str, tuple[float, float]]]) -> Extra:
    columns = ["process", *(f"{when}, {kind}" for when in ("idle", "ingested", "after") for kind in ("PSS", "RSS"))]
    rows = [
        (name, [figure for held in memories for figure in held.get(name, (0.0, 0.0))])
        for name in sorted(memories[0], key=lambda name: -memories[0][name][0])
    ]
    rows.append(("all", [sum(part) for held in memories for part in zip(*held.values(), strict=True)]))
    return Extra("memory, MiB", columns, rows)


def _options() -> argparse.Namespace:
    made = parser("asks", __doc__ or "", EXAMPLES, rounds=10)
    made.add_argument("--connections", type=positive, nargs="+", default=[1, 4, 16], metavar="N", help="1 4 16")
    made.add_argument("--seconds", type=float, default=2.0, help="of each side in each round (2)")
    made.add_argument("--warm-up", type=float, default=1.0, help="before those, not measured (1)")
    made.add_argument("--peers", type=int, choices=(0, 1, 2), default=2, help="how many of the single processes (2)")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(execute(_options(), measure))
