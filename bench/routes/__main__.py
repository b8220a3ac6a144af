"""Fallback under load: one of two upstreams is killed, frozen, answers 429, 500 or garbage; and what a route costs."""

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.gateway import upstream as canned
from bench.gateway.probe import HttpTarget
from bench.kit.command import Say, execute, parser, positive
from bench.kit.figures import Bound, Goal, paired
from bench.kit.harness import Case, Figures, Side, alternate
from bench.kit.mesh import MeshConfig, running
from bench.kit.report import Report
from bench.load import h2load
from bench.peers import litellm
from bench.routes import load, own
from bench.routes.upstream import FaultyUpstream
from infra.local.ports import PortBook
from services.runtime.settings import prefix

HEADWORKS, LITELLM = "Headworks", "LiteLLM"
PLAIN, ROUTED = "a model", "a route"
HEALTHY, ALONE = "healthy", "1 connection"
RATE, FAILED, P50, P99 = "answers/s", "failed", "first token p50 ms", "first token p99 ms after 2 s"
WHOLE_P50 = "p50 ms"
CALLERS = 16
SETTLES_SECONDS = 2.0
OWN_ROUNDS = 50
RECOVER_SECONDS = 9.0
"""What a breaker may take to try a target again."""
TIMES_HEALTHY, COST_MS = 2.0, 0.05
WARM_UP_SECONDS = 10.0
"""Of each place: some workers take seconds for their first answer."""
ROUTE = "steady"
NOTES = (
    f"{CALLERS} callers, each asks again as soon as it is answered; an upstream begins its answer after 10 ms.",
    "failed: calls without an answer, from the moment of the fault on; a caller waits 30 s at most.",
    "Headworks: first_token_seconds 0.5, all else as it comes. LiteLLM: num_retries 3, stream_timeout and timeout "
    "2 (with 0.5 it fails when nothing does), allowed_fails 3, cooldown_time 5.",
    f"{ALONE}: the same upstream as a model and as the one target of a route, in turn. What a route adds is timed in "
    "process: over the mesh it drowns in noise.",
)
EXAMPLES = """\
  python -m bench.routes
  python -m bench.routes --rounds 3 --peers            # without LiteLLM"""


@dataclass
class Faulty:
    """The upstream that fails, and how."""

    upstream: FaultyUpstream

    def kill(self) -> Callable[[], None]:
        self.upstream.kill()
        return self.upstream.restart

    def freeze(self) -> Callable[[], None]:
        pid = self.upstream.process.pid
        os.kill(pid, signal.SIGSTOP)
        return partial(os.kill, pid, signal.SIGCONT)

    def mode(self, mode: str) -> Callable[[], None]:
        self.upstream.mode(mode)
        return partial(self.upstream.mode, "well")

    @property
    def faults(self) -> Mapping[str, Callable[[], Callable[[], None]]]:
        """By name: what brings it about, which returns what ends it."""
        modes = {f"answers {mode}": partial(self.mode, mode) for mode in ("429", "500", "garbage")}
        return {"killed": self.kill, "frozen": self.freeze, **modes}


@dataclass(frozen=True)
class Place:
    """Where is asked."""

    url: str
    headers: Mapping[str, str]

    def healthy(self, seconds: float) -> Figures:
        return _figures(load.run(self.url, self.headers, ROUTE, CALLERS, seconds))

    def faulty(self, fault: Callable[[], Callable[[], None]], seconds: float) -> Figures:
        """The fault comes half a second after the load has begun, and ends after it; then everything recovers."""
        ends: list[Callable[[], None]] = []
        begin = threading.Timer(0.5, lambda: ends.append(fault()))
        begin.start()
        try:
            return _figures(load.run(self.url, self.headers, ROUTE, CALLERS, seconds + 0.5))
        finally:
            begin.join()
            for end in ends:
                end()
            time.sleep(RECOVER_SECONDS)  # nothing to wait for: the breaker is the place's own


def _figures(of: load.Load) -> Figures:
    first = of.first(SETTLES_SECONDS + 0.5)
    return {RATE: of.rate, FAILED: of.failed, P50: first.p50, P99: first.p99}


def measure(options: argparse.Namespace, say: Say) -> Report:
    """Raises BenchError."""
    h2load.require()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headworks-bench-")))
        book = stack.enter_context(closing(PortBook()))
        upstreams = [FaultyUpstream(book.take(), folder / f"upstream-{n}.log") for n in range(2)]
        for one in upstreams:
            stack.callback(one.kill)
        quick = stack.enter_context(canned.serving())
        file = folder / "models.yaml"
        file.write_text(json.dumps(_catalogue(upstreams, quick.base)), "utf-8")
        mesh = stack.enter_context(
            running(options.mesh, say, MeshConfig(settings={f"{prefix('llm')}MODELS_FILE": str(file)}))
        )
        key = {"authorization": f"Bearer {mesh.key}"}
        places = {HEADWORKS: Place(mesh.url + canned.PATH, key)}
        if options.peers:
            deployments = [_deployment(one.base) for one in upstreams]
            url, headers = stack.enter_context(litellm.running(deployments, say, ROUTER))
            places[LITELLM] = Place(url + canned.PATH, headers)
        for place in places.values():
            place.healthy(WARM_UP_SECONDS)
        return _measured(places, Faulty(upstreams[0]), mesh.url, key, options, say)


ROUTER = {"num_retries": 3, "allowed_fails": 3, "cooldown_time": 5, "timeout": 2, "stream_timeout": 2}


def _catalogue(upstreams: list[FaultyUpstream], quick: str) -> Mapping[str, object]:
    bare = {"generator": "openai", "bare": True}
    models = [{"name": f"upstream-{n}", "base_url": one.base, **bare} for n, one in enumerate(upstreams)]
    models.append({"name": "quick", "model": canned.MODEL, "base_url": quick, **bare})
    targets = [{"model": f"upstream-{n}"} for n in range(len(upstreams))]
    routes = [
        {"name": ROUTE, "bare": True, "targets": targets, "first_token_seconds": 0.5},
        {"name": "quick-route", "bare": True, "targets": [{"model": "quick"}]},
    ]
    return {"models": models, "routes": routes}


def _deployment(base: str) -> Mapping[str, object]:
    return {"model_name": ROUTE, "litellm_params": {"model": "openai/m", "api_base": base, "api_key": "sk-upstream"}}


def _measured(
    places: Mapping[str, Place], faulty: Faulty, url: str, key: Mapping[str, str], options: argparse.Namespace, say: Say
) -> Report:
    cases = [Case(HEALTHY, [Side(name, partial(one.healthy, options.seconds), name == LITELLM)
                            for name, one in places.items()])]  # fmt: skip
    cases += [
        Case(name, [Side(who, partial(place.faulty, fault, options.seconds), who == LITELLM)
                    for who, place in places.items()])
        for name, fault in faulty.faults.items()
    ]  # fmt: skip
    bodies = {ROUTED: "quick-route", PLAIN: "quick"}
    targets = {who: HttpTarget(url + canned.PATH, _body(model), key) for who, model in bodies.items()}
    cases.append(
        Case(ALONE, [Side(who, partial(_alone, target, options.seconds), who == PLAIN)
                     for who, target in targets.items()])
    )  # fmt: skip
    results = alternate(cases, options.rounds, say)
    ours = {name: sides[HEADWORKS] for name, sides in results.items() if HEADWORKS in sides}
    goals = [Goal(f"{name}: failed", ours[name][FAILED].maximum, Bound.AT_MOST, 0) for name in faulty.faults]
    goals += [
        Goal(f"{name}: {P99}, times healthy", paired(ours[name], ours[HEALTHY], P99), Bound.AT_MOST, TIMES_HEALTHY)
        for name in faulty.faults
    ]
    for kind, cost in zip(("a whole answer", "a stream"), own.added(OWN_ROUNDS), strict=True):
        goals.append(Goal(f"a route over its model, {kind}, ms of processor", cost, Bound.AT_MOST, COST_MS))
    return Report("routes", cases, results, goals, options.rounds, notes=NOTES)


def _alone(target: HttpTarget, seconds: float) -> Figures:
    measured = h2load.for_seconds(target, 1, seconds, 1)
    return {RATE: measured.rate, WHOLE_P50: measured.latency.p50}


def _body(model: str) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "Say a word."}]}).encode()


def _options() -> argparse.Namespace:
    made = parser("routes", __doc__ or "", EXAMPLES, rounds=3, xquad=False)
    made.add_argument("--peers", nargs="*", choices=[LITELLM], default=[LITELLM], help="those to measure beside (all)")
    made.add_argument("--seconds", type=positive, default=8, metavar="N", help="length of a slice (8)")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(execute(_options(), measure))
