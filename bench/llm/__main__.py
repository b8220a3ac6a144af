"""Streamed answers of a language model through the whole mesh, beside vLLM's own server with the same weights."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from bench.kit import BenchError
from bench.kit.command import Say, execute, parser, positive
from bench.kit.harness import OTHERS, Case, Figures, Side, alternate
from bench.kit.machine import Meter
from bench.kit.mesh import Mesh, MeshConfig, running
from bench.kit.report import Extra, Report
from bench.kit.resources import Costs, cost_table, processor, spent
from bench.llm import goals as llm_goals
from bench.llm import peer as llm_peer
from bench.llm import steps as llm_steps
from bench.llm import triton as llm_triton
from bench.llm.checkpoint import bench_llm
from bench.llm.engine import Engine
from bench.llm.goals import CHUNKS, EACH_P99, FIRST, FIRST_MOST, GAP, GAP_P99, LOADER, PROMPT, RATE, case_name
from bench.llm.memory import OPEN, StreamMemory, measure_memory
from bench.llm.prompts import body, prompts
from bench.llm.triton import TritonLoad
from bench.load import canned
from bench.load.streams import StreamLoad, StreamPlan, Streams
from bench.load.worker import Worker
from services.runtime.settings import prefix

PATH = "/v1/chat/completions"
MESH, TRITON, PEER, AGAIN = "mesh", "Triton alone", "vllm serve", "vllm serve, again"
LEAST_ANSWERS, LEAST_WAVES = 4, 2
READY_SECONDS = 600.0
NOTES = (
    f"{FIRST}: from the request to the first chunk with text, the median of all streams of a wave that began together.",
    f"{GAP}, {GAP_P99}: between successive chunks with text, whatever number of tokens they carry; this is what the "
    f"goals compare. {EACH_P99}: the same gaps, each divided by its chunk's tokens.",
    "the goals' ratios and differences are medians of those of each round, whose sides ran one after the other.",
)
EXAMPLES = """\
  python -m bench.llm
  python -m bench.llm --streams 1 32 --rounds 3 --json llm.json
  python -m bench.llm --model ~/models/some-llama --mesh .headworks
  python -m bench.llm --side triton     # the mesh's Triton without the rest
  python -m bench.llm --side again      # vLLM's server against itself: the noise of this machine"""


@dataclass
class StreamSide:
    """Waves of streams to one address, from a load generator in its own process.

    `used` gives the processor seconds of the side's processes. Both sides are asked the same in the same order.
    """

    url: str
    model: str
    load: Callable[[StreamPlan], Streams]
    texts: Iterator[str]
    tokens: int
    used: Callable[[], Mapping[str, float]]
    headers: dict[str, str] = field(default_factory=dict)
    costs: dict[int, Costs] = field(default_factory=dict)

    def run(self, streams: int) -> Figures:
        waves = max(LEAST_WAVES, LEAST_ANSWERS // streams)
        before, meter = self.used(), Meter()
        load = self.load(self.plan([streams] * waves))
        took = spent(before, self.used())
        others = meter.others(sum(took.values())) - load.processor
        self.costs.setdefault(streams, Costs()).add(took, streams * waves * self.tokens)
        return {
            RATE: load.rate, FIRST: load.first.p50, FIRST_MOST: load.first.highest, GAP: load.gaps.p50,
            GAP_P99: load.gaps.p99, EACH_P99: load.each.p99, CHUNKS: load.chunks, PROMPT: load.prompt,
            LOADER: load.processor, OTHERS: max(others, 0.0),
        }  # fmt: skip

    def plan(self, waves: list[int]) -> StreamPlan:
        bodies = [[body(self.model, text, self.tokens) for text in islice(self.texts, streams)] for streams in waves]
        return StreamPlan(self.url, bodies, self.tokens, self.headers)


def measure(options: argparse.Namespace, say: Say) -> Report:
    """Start everything, measure, stop everything. Raises BenchError."""
    model = options.model.absolute() if options.model else bench_llm()
    if not (model / "config.json").is_file():
        raise BenchError(f"{model} is not a model's folder in Hugging Face form")
    engine = Engine(model, sequences=options.sequences, threads=options.threads)
    with ExitStack() as stack:
        start = Start(stack, engine, options, say, stack.enter_context(Worker(StreamLoad)))
        sides = {PEER: start.peer()}
        mesh = None
        if options.side == "mesh":
            mesh = stack.enter_context(running(options.mesh, say, _mesh_config(stack, engine, options)))
            sides = {MESH: start.mesh(mesh), **sides}
        else:
            sides = {AGAIN: start.peer(), **sides} if options.side == "again" else {TRITON: start.triton(), **sides}
        for name, side in sides.items():
            for streams in options.streams:
                say(f"warm-up, {case_name(streams)}, {name}")
                side.run(streams)
            side.costs.clear()
        return _measured(sides, mesh, options, say)


def _mesh_config(stack: ExitStack, engine: Engine, options: argparse.Namespace) -> MeshConfig:
    """A mesh with the model, and with an upstream for agents."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headworks-bench-")))
    upstream = stack.enter_context(canned.serving(llm_steps.CALLS))
    file = llm_steps.catalogue(folder, upstream, options.name)
    return MeshConfig(
        ("--llm", str(engine.model)),
        seconds=READY_SECONDS,
        settings={**engine.variables, f"{prefix('llm')}MODELS_FILE": str(file)},
    )


@dataclass(frozen=True)
class Start:
    """Starts sides, which end with the stack."""

    stack: ExitStack
    engine: Engine
    options: argparse.Namespace
    say: Say
    loader: Worker[StreamLoad]

    def peer(self) -> StreamSide:
        peer = self.stack.enter_context(llm_peer.serving(self.engine, self.say))
        return self._side(f"{peer.url}{PATH}", peer.name, peer.processor)

    def triton(self) -> StreamSide:
        served = self.stack.enter_context(llm_triton.serving(self.engine, self.say))
        loader = self.stack.enter_context(Worker(TritonLoad))
        return self._side(served.url, "", served.processor, lambda plan: loader.call(TritonLoad.run, plan))

    def mesh(self, mesh: Mesh) -> StreamSide:
        headers = {"authorization": f"Bearer {mesh.key}"}
        return self._side(f"{mesh.url}{PATH}", self.options.name, lambda: processor(mesh.state), headers=headers)

    def _side(
        self, url: str, model: str, used: Callable[[], Mapping[str, float]],
        load: Callable[[StreamPlan], Streams] | None = None, headers: Mapping[str, str] | None = None,
    ) -> StreamSide:  # fmt: skip
        texts = prompts(self.engine.model, self.options.prompt)
        return StreamSide(url, model, load or self._load, texts, self.options.tokens, used, dict(headers or {}))

    def _load(self, plan: StreamPlan) -> Streams:
        return self.loader.call(StreamLoad.run, plan)


def _measured(sides: dict[str, StreamSide], mesh: Mesh | None, options: argparse.Namespace, say: Say) -> Report:
    first, peer = sides
    cases = [
        Case(
            case_name(streams),
            [Side(name, partial(side.run, streams), name != first) for name, side in sides.items()],
        )
        for streams in options.streams
    ]
    results = alternate(cases, options.rounds, say)
    goals = llm_goals.speed(results, first, peer)
    extras: list[Extra] = [
        cost_table(
            f"processor ms per token, {name}", {case_name(streams): cost for streams, cost in side.costs.items()}
        )
        for name, side in sides.items()
    ]
    facts: dict[str, object] = {"tokens": options.tokens}
    notes = list(NOTES)
    if mesh is not None and options.mesh is None:
        say("running agents")
        steps = llm_steps.measure_steps(mesh)
        extras.append(steps.table())
        goals = [*goals, llm_goals.steps(steps)]
        notes.append(llm_steps.NOTE)
    if mesh is not None and options.open:
        say(f"opening {options.open} streams at once")
        held: StreamMemory = measure_memory(mesh, sides[MESH].load, sides[MESH].plan([options.open]), options.open)
        extras.append(held.table())
        goals = [*goals, llm_goals.memory(held)]
        notes.append(OPEN)
    if mesh is not None and mesh.restarts:
        facts["restarts"] = dict(mesh.restarts)
        notes.append(f"restarted, at the start or meanwhile: {dict(mesh.restarts)}")
    return Report(
        title=f"{options.tokens} tokens for {options.prompt}: {first} beside {peer}",
        cases=cases, results=results, goals=goals, rounds=options.rounds, extras=extras,
        notes=notes, facts=facts,
    )  # fmt: skip


def _options() -> argparse.Namespace:
    made = parser("llm", __doc__ or "", EXAMPLES, rounds=5, xquad=False)
    made.add_argument("--model", type=Path, metavar="DIR", help="folder of the model; by default one is made")
    made.add_argument("--name", default="llm", help="the model's name in the mesh (llm)")
    made.add_argument("--streams", type=positive, nargs="+", default=[1, 8, 32], metavar="N", help="1 8 32")
    made.add_argument("--tokens", type=positive, default=128, help="of each answer (128)")
    made.add_argument("--prompt", type=positive, default=100, help="tokens of each prompt, its template apart (100)")
    made.add_argument("--open", type=int, default=200, metavar="N", help="streams to weigh; 0 skips that (200)")
    made.add_argument("--sequences", type=positive, default=256, help="that an engine generates at once (256)")
    made.add_argument("--threads", default="auto", metavar="BIND", help="VLLM_CPU_OMP_THREADS_BIND of both (auto)")
    made.add_argument(
        "--side", choices=("mesh", "triton", "again"), default="mesh",
        help="what is held against vLLM's server: the whole mesh (default), Triton alone, or a second such server",
    )  # fmt: skip
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(execute(_options(), measure))
