"""How long an answer by meaning takes alone, beside the answer of a small local model and beside one embedding."""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from bench.gateway.probe import json_of
from bench.kit import BenchError
from bench.kit.command import Say
from bench.kit.figures import Bound, Goal
from bench.kit.mesh import Mesh, MeshConfig, running
from bench.kit.report import Extra

LLM, MODEL = "smollm2", "default"
READY_SECONDS = 600.0
SPEC = "semantic: {explore: 0}"
# Each with a question of the same meaning.
ASKED = (
    ("How do I bookmark a page?", "How can I bookmark a page?"),
    ("How do I book a meeting room?", "How can I book a meeting room?"),
    ("What is the melting point of gold?", "What is gold's melting point?"),
    ("How do I recover deleted photos?", "How can I recover deleted photos?"),
    ("What is the capital of France?", "What is the capital city of France?"),
)
ROUNDS = 20
MOST_TOKENS = 400
SYSTEM = "Answer with one short sentence."
TIMES_MODEL, TIMES_EMBEDDING = 10.0, 3.0


def measure(options: argparse.Namespace, say: Say) -> tuple[Extra, list[Goal]]:
    """Start a mesh with the model, ask it, ask the cache. Raises BenchError."""
    config = MeshConfig(("--llm", LLM), {}, READY_SECONDS)
    with running(options.mesh, say, config) as mesh:
        json_of(f"{mesh.url}/v1/admin/cache/policies", mesh.key, {"spec": SPEC}, "PUT")
        model = [_timed(partial(_ask, mesh, asked, "miss")) for asked, _ in ASKED]
        say(f"the model took {statistics.median(model):.0f} ms")
        alike, embedding, exact = list[float](), list[float](), list[float]()
        for number in range(ROUNDS):
            first, like = ASKED[number % len(ASKED)]
            alike.append(_timed(partial(_ask, mesh, like, "alike")))
            embedding.append(_timed(partial(_embed, mesh, like)))
            exact.append(_timed(partial(_ask, mesh, first, "hit")))
    took = [statistics.median(times) for times in (model, alike, embedding, exact)]
    names = ("the model's answer", "an answer by meaning", "one embedding", "an exact hit")
    rows = [(name, [each]) for name, each in zip(names, took, strict=True)]
    goals = [
        Goal("answer by meaning, times as fast as the model", took[0] / took[1], Bound.AT_LEAST, TIMES_MODEL),
        Goal("answer by meaning, times one embedding", took[1] / took[2], Bound.AT_MOST, TIMES_EMBEDDING),
    ]
    return Extra(f"alone, {LLM}, {MOST_TOKENS} tokens at most", ("", "p50 ms"), rows), goals


def _timed(ask: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    ask()
    return (time.perf_counter() - begun) * 1000


def _ask(mesh: Mesh, question: str, status: str) -> None:
    """Raises BenchError for another status of the cache."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
    body = {"model": MODEL, "messages": messages, "max_tokens": MOST_TOKENS, "temperature": 0}
    answer = json_of(f"{mesh.url}/v1/chat/completions", mesh.key, body)
    found = answer["headworks"]["cache"]["status"]
    if found != status:
        raise BenchError(f"{question!r} is a {found} and no {status}")


def _embed(mesh: Mesh, text: str) -> None:
    json_of(f"{mesh.url}/v1/embeddings", mesh.key, {"model": "all-minilm-l6-v2", "input": text})
