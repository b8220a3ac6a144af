"""Streamed answers of a language model through the whole mesh, beside vLLM's own server with the same weights."""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from bench import llm_goals
from bench.command import Say, execute, parser, positive
from bench.costs import Costs, cost_table
from bench.errors import BenchError
from bench.harness import OTHERS, Case, Figures, Side, alternate
from bench.llm_figures import CHUNKS, EACH_P99, FIRST, FIRST_MOST, GAP, GAP_P99, LOADER, PROMPT, RATE, case_name
from bench.llm_memory import OPEN, StreamMemory, measure_memory
from bench.llm_peer import Engine, Peer, serving
from bench.machine import Meter
from bench.mesh import Mesh, Wishes, running
from bench.prompts import body, prompts
from bench.report import Extra, Report
from bench.resources import processor, spent
from bench.streams import Plan, StreamLoad
from bench.worker import Worker

PATH = "/v1/chat/completions"
MESH, PEER, AGAIN = "mesh", "vllm serve", "vllm serve, again"
LEAST_ANSWERS, LEAST_WAVES = 4, 2
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
  python -m bench.llm --baseline        # vLLM's server against itself: the noise of this machine"""


@dataclass
class StreamSide:
    """Waves of streams to one address, from a load generator in its own process.

    `used` gives the processor seconds of the side's processes. Both sides are asked the same in the same order.
    """

    url: str
    model: str
    loader: Worker[StreamLoad]
    texts: Iterator[str]
    tokens: int
    used: Callable[[], Mapping[str, float]]
    headers: dict[str, str] = field(default_factory=dict)
    costs: dict[int, Costs] = field(default_factory=dict)

    def run(self, streams: int) -> Figures:
        waves = max(LEAST_WAVES, LEAST_ANSWERS // streams)
        before, meter = self.used(), Meter()
        load = self.loader.call(StreamLoad.run, self.plan([streams] * waves))
        took = spent(before, self.used())
        others = meter.others(sum(took.values())) - load.processor
        self.costs.setdefault(streams, Costs()).add(took, streams * waves * self.tokens)
        return {
            RATE: load.rate, FIRST: load.first.p50, FIRST_MOST: load.first.highest, GAP: load.gaps.p50,
            GAP_P99: load.gaps.p99, EACH_P99: load.each.p99, CHUNKS: load.chunks, PROMPT: load.prompt,
            LOADER: load.processor, OTHERS: max(others, 0.0),
        }  # fmt: skip

    def plan(self, waves: list[int]) -> Plan:
        bodies = [[body(self.model, text, self.tokens) for text in islice(self.texts, streams)] for streams in waves]
        return Plan(self.url + PATH, bodies, self.tokens, self.headers)


def measure(options: argparse.Namespace, say: Say) -> Report:
    """Start everything, measure, stop everything. Raises BenchError."""
    if not (options.model / "config.json").is_file():
        raise BenchError(f"{options.model} is not a model's folder in Hugging Face form")
    engine = Engine(options.model.absolute(), sequences=options.sequences, threads=options.threads)
    with ExitStack() as stack:
        loader = stack.enter_context(Worker(StreamLoad))
        make = partial(StreamSide, loader=loader, tokens=options.tokens)
        sides = {PEER: _peer_side(stack, engine, make, options, say)}
        mesh = None
        if options.baseline:
            sides = {**sides, AGAIN: _peer_side(stack, engine, make, options, say)}
        else:
            mesh = stack.enter_context(
                running(options.mesh, say, Wishes(("--llm", str(engine.model)), engine.settings))
            )
            sides = {MESH: _mesh_side(mesh, make, options), **sides}
        for name, side in sides.items():
            for streams in options.streams:
                say(f"warm-up, {case_name(streams)}, {name}")
                side.run(streams)
            side.costs.clear()
        return _measured(sides, mesh, options, say)


def _peer_side(
    stack: ExitStack, engine: Engine, make: Callable[..., StreamSide], options: argparse.Namespace, say: Say
) -> StreamSide:
    peer: Peer = stack.enter_context(serving(engine, say))
    return make(url=peer.url, model=peer.name, texts=prompts(options.model, options.prompt), used=peer.processor)


def _mesh_side(mesh: Mesh, make: Callable[..., StreamSide], options: argparse.Namespace) -> StreamSide:
    return make(
        url=mesh.url,
        model=options.name,
        texts=prompts(options.model, options.prompt),
        used=lambda: processor(mesh.state),
        headers={"authorization": f"Bearer {mesh.key}"},
    )


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
    facts: dict[str, object] = {"tokens": options.tokens, "model": options.model.name}
    if mesh is not None and options.open:
        say(f"opening {options.open} streams at once")
        held: StreamMemory = measure_memory(mesh, sides[MESH].loader, sides[MESH].plan([options.open]), options.open)
        extras.append(held.table())
        goals = [*goals, llm_goals.memory(held)]
    if mesh is not None:
        facts["restarts"] = dict(mesh.restarts)
    return Report(
        title=f"{options.tokens} tokens for {options.prompt}: {first} beside {peer}",
        cases=cases, results=results, goals=goals, rounds=options.rounds, extras=extras,
        notes=[*NOTES, *([OPEN] if mesh is not None and options.open else [])], facts=facts,
    )  # fmt: skip


def _options() -> argparse.Namespace:
    made = parser("llm", __doc__ or "", EXAMPLES, rounds=5, xquad=False)
    made.add_argument("--model", type=Path, required=True, metavar="DIR", help="folder of the model")
    made.add_argument("--name", default="llm", help="the model's name in the mesh (llm)")
    made.add_argument("--streams", type=positive, nargs="+", default=[1, 8, 32], metavar="N", help="1 8 32")
    made.add_argument("--tokens", type=positive, default=128, help="of each answer (128)")
    made.add_argument("--prompt", type=positive, default=100, help="tokens of each prompt, its template apart (100)")
    made.add_argument("--open", type=int, default=200, metavar="N", help="streams to weigh; 0 skips that (200)")
    made.add_argument("--sequences", type=positive, default=256, help="that an engine generates at once (256)")
    made.add_argument("--threads", default="auto", metavar="BIND", help="VLLM_CPU_OMP_THREADS_BIND of both (auto)")
    made.add_argument("--baseline", action="store_true", help="a second server of vLLM's instead of the mesh")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(execute(_options(), measure))
