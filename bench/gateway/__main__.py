"""The gateway with all its policy on, before a canned upstream, beside LiteLLM's proxy and Portkey's gateway."""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.gateway import goals as gateway_goals
from bench.gateway import memory as gateway_memory
from bench.gateway import policy as gateway_policy
from bench.gateway import upstream as gateway_upstream
from bench.gateway.goals import ALONE, DIRECT, HEADWORKS, LITELLM, MANY, P50, P99, PORTKEY, RATE, STREAMS
from bench.gateway.probe import HttpTarget, expect
from bench.gateway.upstream import MODEL, PATH, STREAM_MODEL, TEXT, Upstream
from bench.kit.command import Say, execute, parser, positive
from bench.kit.harness import OTHERS, Case, Figures, Side, alternate
from bench.kit.machine import Meter
from bench.kit.mesh import Mesh, running
from bench.kit.report import Report
from bench.kit.resources import Costs, cost_table, processor, spent
from bench.load import h2load
from bench.peers import litellm, portkey

SYSTEM = "You are a helpful assistant. Answer in plain words, and say so where you do not know."
QUESTION = "What do the headworks of a canal do, and what would happen to the fields below without them? Be brief."
CONNECTIONS = {ALONE: 1, MANY: 16, STREAMS: 16}
WARM_UP = 100  # answers of each side before anything is measured: some workers take seconds for their first
PEERS = {LITELLM: litellm, PORTKEY: portkey}
NOTES = (
    gateway_policy.NOTE,
    f"LiteLLM {litellm.VERSION}, {litellm.WORKERS} workers: a key with its rate limits and its budget, from its hook "
    "for authentication and kept in memory; its database is not used.",
    f"Portkey {portkey.VERSION}: as it comes, which is without keys, limits and budgets; it has no streams here, since "
    "it ends them with an error.",
    f"{STREAMS}: {gateway_upstream.CHUNKS} chunks with text, which the upstream sends at once.",
    "the goals' ratios and differences are medians of those of each round, whose sides ran one after the other.",
)
EXAMPLES = """\
  python -m bench.gateway
  python -m bench.gateway --rounds 5 --json gateway.json
  python -m bench.gateway --peers --requests 20000     # no peers, a short look at the memory"""


@dataclass
class GatewaySide:
    """A gateway to ask, or the upstream itself. `mesh`: where it is ours, for what its processes use."""

    whole: HttpTarget
    streamed: HttpTarget | None
    mesh: Mesh | None = None
    costs: dict[str, Costs] = field(default_factory=dict)

    def target(self, case: str) -> HttpTarget | None:
        return self.streamed if case == STREAMS else self.whole

    def run(self, case: str, seconds: float, warm_up: float) -> Figures:
        target = self.target(case)
        assert target is not None
        before, meter = self._used(), Meter()
        load = h2load.for_seconds(target, CONNECTIONS[case], seconds, warm_up)
        figures = {RATE: load.rate, P50: load.latency.p50, P99: load.latency.p99}
        if self.mesh is not None:
            took = spent(before, self._used())
            self.costs.setdefault(case, Costs()).add(took, round(load.rate * (seconds + warm_up)))
            figures[OTHERS] = meter.others(sum(took.values()))
        return figures

    def _used(self) -> Mapping[str, float]:
        return processor(self.mesh.state) if self.mesh else {}


def measure(options: argparse.Namespace, say: Say) -> Report:
    """Start everything, measure, stop everything. Raises BenchError."""
    h2load.require()
    with ExitStack() as stack:
        upstream = stack.enter_context(gateway_upstream.serving())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headworks-bench-")))
        mesh = stack.enter_context(
            running(options.mesh, say, gateway_policy.mesh_config(upstream, folder, options.replicas))
        )
        key = gateway_policy.set_up(mesh)
        ours = _place(mesh.url, {"authorization": f"Bearer {key}"}, mesh=mesh)
        places = {HEADWORKS: ours, DIRECT: _direct(upstream)}
        for name in options.peers:
            url, headers = stack.enter_context(PEERS[name].serving(upstream, say))
            places[name] = _place(url, headers, streams=name != PORTKEY)
        for name, place in places.items():
            for target in filter(None, (place.whole, place.streamed)):
                expect(name, target, TEXT)
                h2load.so_many(target, CONNECTIONS[MANY], WARM_UP)
        return _measured(places, mesh, options, say)


def _measured(places: Mapping[str, GatewaySide], mesh: Mesh, options: argparse.Namespace, say: Say) -> Report:
    cases = [
        Case(
            case,
            [
                Side(name, partial(place.run, case, options.seconds, options.warm_up), name in PEERS)
                for name, place in places.items()
                if place.target(case)
            ],
        )
        for case in CONNECTIONS
    ]
    results = alternate(cases, options.rounds, say)
    goals = gateway_goals.speed(results)
    extras = [cost_table("processor ms per answer, Headworks", places[HEADWORKS].costs)]
    if options.requests:
        growth = gateway_memory.measure(mesh, places[HEADWORKS].whole, options.requests, say)
        extras.append(growth.table())
        goals.append(gateway_goals.memory(growth.share))
    return Report(
        title="chat completions through gateways", cases=cases, results=results, goals=goals, rounds=options.rounds,
        extras=extras, notes=NOTES, facts={"replicas": options.replicas, "restarts": dict(mesh.restarts)},
    )  # fmt: skip


def _direct(upstream: Upstream) -> GatewaySide:
    whole, streamed = (f"{base}/chat/completions" for base in (upstream.base, upstream.stream_base))
    return GatewaySide(HttpTarget(whole, _body(MODEL, False)), HttpTarget(streamed, _body(MODEL, True)))


def _place(url: str, headers: Mapping[str, str], streams: bool = True, mesh: Mesh | None = None) -> GatewaySide:
    streamed = HttpTarget(url + PATH, _body(STREAM_MODEL, True), headers) if streams else None
    return GatewaySide(HttpTarget(url + PATH, _body(MODEL, False), headers), streamed, mesh)


def _body(model: str, stream: bool) -> bytes:
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
    asked: dict[str, object] = {"model": model, "messages": messages, "temperature": 0.2, "max_tokens": 256}
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(asked).encode()


def _options() -> argparse.Namespace:
    made = parser("gateway", __doc__ or "", EXAMPLES, rounds=10, xquad=False)
    made.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS), help="those to measure beside (all)")
    made.add_argument(
        "--replicas",
        type=positive,
        default=1,
        help="of the gateway (1: they share one writer of the embedded database)",
    )
    made.add_argument("--seconds", type=float, default=2.0, help="that each side is measured in a round (2)")
    made.add_argument("--warm-up", type=positive, default=1, help="seconds before that (1)")
    made.add_argument(
        "--requests", type=int, default=200_000,
        help="after how many the memory is compared with that after a tenth of them (200000); 0 leaves it out",
    )  # fmt: skip
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(execute(_options(), measure))
