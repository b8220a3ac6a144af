"""Exact hits through Envoy with all policy on, beside the same pipeline before an upstream that answers at once."""

import argparse
import json
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.gateway import policy
from bench.gateway import upstream as gateway_upstream
from bench.gateway.probe import HttpTarget, expect, json_of
from bench.gateway.upstream import MODEL, PATH, STREAM_MODEL, TEXT, Upstream
from bench.kit import BenchError
from bench.kit.command import Say
from bench.kit.figures import Bound, Goal, paired
from bench.kit.harness import OTHERS, Case, Figures, Results, Side, alternate
from bench.kit.machine import Meter
from bench.kit.mesh import Mesh, MeshConfig, running
from bench.kit.report import Report
from bench.kit.resources import processor, spent
from bench.load import h2load
from services.runtime.settings import prefix

HITS, PIPELINE = "exact hits", "pipeline, no cache"
ALONE, MANY, STREAMS = "1 connection", "16 connections", "16 connections, streams"
RATE, P50, P99 = "answers/s", "p50 ms", "p99 ms"
CONNECTIONS = {ALONE: 1, MANY: 16, STREAMS: 16}
CACHED, CACHED_STREAM = "cached", "cached-stream"
MODELS = {MODEL: False, STREAM_MODEL: True, CACHED: False, CACHED_STREAM: True}
WARM_UP = 200
LEAST_RATE, MOST_P99 = 1000.0, 200.0
NOTES = (
    policy.NOTE,
    "both sides: the same gateway, Envoy and policy; the upstream is an Envoy that answers with the same bytes.",
)
QUESTION = "What do the headworks of a canal do, and what would happen to the fields below without them? Be brief."


def measure(options: argparse.Namespace, say: Say) -> Report:
    """Start everything, measure, stop everything. Raises BenchError."""
    h2load.require()
    with ExitStack() as stack:
        upstream = stack.enter_context(gateway_upstream.serving())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headworks-bench-")))
        mesh = stack.enter_context(running(options.mesh, say, _config(upstream, folder)))
        key = policy.set_up(mesh)
        headers = {"authorization": f"Bearer {key}"}
        for model in (CACHED, CACHED_STREAM):
            spec = {"tenant": policy.TENANT, "agent": model, "spec": "exact: {ttl_seconds: 86400}"}
            json_of(f"{mesh.url}/v1/admin/cache/policies", mesh.key, spec, "PUT")
        targets = {model: HttpTarget(mesh.url + PATH, _body(model), headers) for model in MODELS}
        for model, target in targets.items():
            expect(model, target, TEXT)
            h2load.so_many(target, CONNECTIONS[MANY], WARM_UP)
        status = json_of(mesh.url + PATH, key, json.loads(_body(CACHED)))["headworks"]["cache"]["status"]
        if status != "hit":
            raise BenchError(f"an equal question is a {status}")
        cases = [
            Case(case, [_side(name, case, targets, mesh, options) for name in (HITS, PIPELINE)]) for case in CONNECTIONS
        ]
        results = alternate(cases, options.rounds, say)
    return Report(
        title="exact hits, all policy on", cases=cases, results=results, goals=_goals(results), rounds=options.rounds,
        notes=NOTES,
    )  # fmt: skip


def _side(name: str, case: str, targets: Mapping[str, HttpTarget], mesh: Mesh, options: argparse.Namespace) -> Side:
    whole, streamed = (CACHED, CACHED_STREAM) if name == HITS else (MODEL, STREAM_MODEL)
    target = targets[streamed if case == STREAMS else whole]
    return Side(name, partial(_run, target, case, mesh, options), name == PIPELINE)


def _run(target: HttpTarget, case: str, mesh: Mesh, options: argparse.Namespace) -> Figures:
    before, meter = processor(mesh.state), Meter()
    load = h2load.for_seconds(target, CONNECTIONS[case], options.seconds, options.warm_up)
    took = spent(before, processor(mesh.state))
    own = sum(seconds for name, seconds in took.items() if name.startswith("gateway"))
    answers = load.rate * (options.seconds + options.warm_up)
    return {
        RATE: load.rate, P50: load.latency.p50, P99: load.latency.p99, "gateway ms": own * 1000 / answers,
        OTHERS: meter.others(sum(took.values())),
    }  # fmt: skip


def _goals(results: Results) -> list[Goal]:
    many, streams = results[MANY], results[STREAMS]
    return [
        Goal(f"{MANY}, {RATE}, times the pipeline", paired(many[HITS], many[PIPELINE], RATE), Bound.AT_LEAST, 1.0),
        Goal(f"{MANY}, {RATE}", many[HITS][RATE].median, Bound.AT_LEAST, LEAST_RATE),
        Goal(f"{MANY}, {P99}", many[HITS][P99].median, Bound.AT_MOST, MOST_P99),
        Goal(f"{STREAMS}, times the pipeline", paired(streams[HITS], streams[PIPELINE], RATE), Bound.AT_LEAST, 1.0),
    ]


def _config(upstream: Upstream, folder: Path) -> MeshConfig:
    bare = {"generator": "openai", "bare": True, "model": MODEL, "price": policy.PRICES}
    models = [
        {"name": name, "base_url": upstream.stream_base if streams else upstream.base, **bare}
        for name, streams in MODELS.items()
    ]
    (file := folder / "models.yaml").write_text(json.dumps({"models": models}), "utf-8")
    return MeshConfig((), {f"{prefix('llm')}MODELS_FILE": str(file)})


def _body(model: str) -> bytes:
    asked = {"model": model, "messages": [{"role": "user", "content": QUESTION}], "temperature": 0.2, "max_tokens": 256}
    if MODELS[model]:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(asked).encode()
