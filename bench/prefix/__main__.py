"""Two replicas of a language model on the processor: balancing by prefix beside round robin and balancing by load."""

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

from bench.kit import BenchError
from bench.kit.command import Say, execute, parser, positive
from bench.kit.figures import Bound, Goal, paired
from bench.kit.harness import Case, Figures, Side, alternate
from bench.kit.report import Report
from bench.llm import triton
from bench.load.worker import Worker
from bench.prefix import cost, sides
from bench.prefix.sides import FIRST, HIT, Load
from bench.prefix.workload import Shape, conversations, mixed
from services.models import smollm2
from services.models.settings import ModelsSettings

PREFIX, ROUND_ROBIN, LOAD = "prefix", "round robin", "load"
BALANCES: dict[str, sides.MakeGenerator] = {
    PREFIX: sides.by_prefix, ROUND_ROBIN: sides.RoundRobin, LOAD: sides.by_load,
}  # fmt: skip
PROCESSOR = "processor ms of the replicas a turn"
CONTEXT = 4096
ENVIRONMENT = {"HF_HUB_OFFLINE": "1"}
WARM_UP = Shape(1, 64, 2, 1, 64, 4)
EXAMPLES = """\
  python -m bench.prefix
  python -m bench.prefix --rounds 1 --callers 8 --turns 3 --threads 2"""


@dataclass
class Replicas:
    """The Tritons, asked by each side in turn. Each run has texts that no cache has yet."""

    tritons: list[triton.Triton]
    model: Path
    shape: Shape
    callers: int
    seeds: Callable[[], int]
    load: Worker[Load]

    def run(self, make: sides.MakeGenerator) -> Figures:
        seed = 2 * self.seeds()
        turns = list(mixed(conversations(self.model, self.shape, seed), seed))
        urls, before = [one.url for one in self.tritons], self._processor()
        figures = self.load.call(Load.run, make, urls, turns, self.callers, self.shape)
        return {**figures, PROCESSOR: 1000 * (self._processor() - before) / len(turns)}

    def _processor(self) -> float:
        """Seconds of one core that the replicas have used."""
        return sum(sum(one.processor().values()) for one in self.tritons)


def measure(options: argparse.Namespace, say: Say) -> Report:
    """Raises BenchError."""
    try:
        model = smollm2.smollm2(say)
    except (smollm2.ModelNotInstalled, smollm2.NotConverted) as error:
        raise BenchError(str(error)) from error
    shape = Shape(turns=options.turns)
    settings = ModelsSettings(
        llm=str(model), llm_max_model_len=CONTEXT, llm_enforce_eager=True, llm_kv_cache_gib=options.cache,
        llm_threads=options.threads,
    )  # fmt: skip
    with ExitStack() as stack:
        tritons = [
            stack.enter_context(triton.started(settings, ENVIRONMENT, say, llm_alone=True))
            for _ in range(options.replicas)
        ]
        load = stack.enter_context(Worker(Load))
        replicas = Replicas(tritons, model, shape, options.callers, partial(next, count(1)), load)
        for make in BALANCES.values():
            replace(replicas, shape=WARM_UP).run(make)
        case = Case(str(shape), [Side(name, partial(replicas.run, make), name != PREFIX)
                                 for name, make in BALANCES.items()])  # fmt: skip
        results = alternate([case], options.rounds, say)
    own = results[case.name]
    goals = [
        Goal(f"{HIT}, times round robin", paired(own[PREFIX], own[ROUND_ROBIN], HIT), Bound.OVER, 1),
        Goal(f"{PROCESSOR}, times round robin", paired(own[PREFIX], own[ROUND_ROBIN], PROCESSOR), Bound.UNDER, 1),
        Goal(f"{FIRST}, times round robin", paired(own[PREFIX], own[ROUND_ROBIN], FIRST), Bound.UNDER, 1),
    ]
    notes = [
        f"{options.callers} callers, {options.replicas} replicas of SmolLM2-135M-Instruct, each on {options.threads} "
        f"thread with {options.cache:g} GiB of KV cache; asked in Triton's protocol through services/llm.",
    ]
    return Report("prefix", [case], results, goals, options.rounds, extras=[cost.table()], notes=notes)


def _options() -> argparse.Namespace:
    made = parser("prefix", __doc__ or "", EXAMPLES, rounds=3, xquad=False, mesh=False)
    made.add_argument("--replicas", type=positive, default=2, help="Tritons (2)")
    made.add_argument("--callers", type=positive, default=4, help="turns under way at once (4)")
    made.add_argument("--turns", type=positive, default=4, help="of each conversation (4)")
    made.add_argument("--threads", type=positive, default=1, help="of each replica (1)")
    made.add_argument("--cache", type=float, default=0.2, metavar="GIB", help="KV cache of each replica (0.2)")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(execute(_options(), measure))
