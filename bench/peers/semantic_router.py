"""LiteLLM's two routers by what is asked, over vectors that are given to it; in an environment of its own.

Its auto-router is semantic-router with the same encoder's vectors: each target is a route, whose utterances are the
questions that were better sent there. Its complexity router scores a question by rules.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.kit import BenchError
from bench.peers.place import installed, place

VERSION, LITELLM = "0.1.15", "1.110.2"
SECONDS = 600.0
SCRIPT = """\
import json, sys, time
from semantic_router.encoders.base import DenseEncoder
from semantic_router.routers import SemanticRouter
from semantic_router.routers.base import Route
from litellm.router_strategy.complexity_router.complexity_router import ComplexityRouter

given = json.load(sys.stdin)
vectors = given["vectors"]

class Vectors(DenseEncoder):
    def __call__(self, docs):
        return [vectors.get(doc) or [0.0] * 384 for doc in docs]

routes = [Route(name=name, utterances=given["utterances"][name]) for name in ("small", "large")]
# 0.3 is LiteLLM's default.
router = SemanticRouter(encoder=Vectors(name="given", score_threshold=0.3), routes=routes, auto_sync="local")
started = time.perf_counter()
chosen = [router(text=question).name for question in given["asked"]]
took = (time.perf_counter() - started) / len(given["asked"]) * 1000
rules = ComplexityRouter(model_name="router", litellm_router_instance=None, complexity_router_config={
    "tiers": {"SIMPLE": "small", "MEDIUM": "small", "COMPLEX": "large", "REASONING": "large"}})
started = time.perf_counter()
scored = [rules.classify(question)[1] for question in given["rules"]]
print(json.dumps({"chosen": chosen, "ms": took, "scored": scored,
                  "rules_ms": (time.perf_counter() - started) / len(given["rules"]) * 1000}))
"""


@dataclass(frozen=True, slots=True)
class Chosen:
    """`large`: whether the auto-router sends each question there, as LiteLLM does what no route is like; `scored`: by
    the rules. Milliseconds a question of each, the embedding left out."""

    large: list[bool]
    ms: float
    scored: list[float]
    rules_ms: float


def chosen(
    vectors: Mapping[str, Sequence[float]], small: Sequence[str], large: Sequence[str], asked: Sequence[str],
    rules: Sequence[str], say: Callable[[str], None],
) -> Chosen:  # fmt: skip
    """Where questions that are `asked` go, by those that were better sent to the `small` and to the `large` target;
    and what the rules score. Raises BenchError."""
    home = installed(place("semantic-router", VERSION), _commands(), say)
    utterances = {"small": list(small), "large": list(large)}
    given = json.dumps({"vectors": vectors, "utterances": utterances, "asked": list(asked), "rules": list(rules)})
    ended = subprocess.run(
        [home / "venv" / "bin" / "python", "-c", SCRIPT], input=given, capture_output=True, text=True, timeout=SECONDS,
        check=False, cwd=home, env={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PATH": ""},
    )  # fmt: skip
    if ended.returncode:
        raise BenchError(f"LiteLLM's routers failed: {ended.stderr[-2000:]}")
    found = json.loads(ended.stdout.splitlines()[-1])
    return Chosen([name != "small" for name in found["chosen"]], found["ms"], found["scored"], found["rules_ms"])


def _commands() -> Sequence[Sequence[str]]:
    pip = str(Path("venv") / "bin" / "pip")
    return [
        [sys.executable, "-m", "venv", "venv"],
        [pip, "install", "-q", f"semantic-router=={VERSION}", f"litellm=={LITELLM}"],
    ]
