"""The figures of streamed answers, and what they must reach beside vLLM's own server."""

from bench.kit.figures import Bound, Goal, paired
from bench.kit.harness import Results
from bench.llm.memory import StreamMemory
from bench.llm.steps import Steps

RATE, CHUNKS, PROMPT = "tokens/s", "chunks per answer", "prompt tokens"
FIRST, FIRST_MOST = "first text p50 ms", "first text, last stream, ms"
GAP, GAP_P99, EACH_P99 = "gap p50 ms", "gap p99 ms", "gap per token p99 ms"
LOADER = "cores of load"
LEAST_RATE = 0.95
FIRST_OVER_MS = 8.0
FIRST_RATIO = 1.1
GAP_RATIO = 1.2
MEMORY_KIB = 300.0
STEP_MS = 3.0


def case_name(streams: int) -> str:
    return "1 stream" if streams == 1 else f"{streams} streams"


ALONE, MANY = case_name(1), case_name(32)


def speed(results: Results, first: str, peer: str) -> list[Goal]:
    """Of every case that was measured."""
    goals: list[Goal] = []
    for case, sides in results.items():
        own, theirs = sides[first], sides[peer]
        goals.append(Goal(f"{case}, {RATE}, ratio", paired(own, theirs, RATE), Bound.AT_LEAST, LEAST_RATE))
        if case == ALONE:
            over = paired(own, theirs, FIRST, lambda mine, other: mine - other)
            goals.append(Goal(f"{case}, {FIRST}, over", over, Bound.AT_MOST, FIRST_OVER_MS))
        if case == MANY:
            goals.append(Goal(f"{case}, {FIRST}, ratio", paired(own, theirs, FIRST), Bound.AT_MOST, FIRST_RATIO))
        goals.append(Goal(f"{case}, {GAP_P99}, ratio", paired(own, theirs, GAP_P99), Bound.AT_MOST, GAP_RATIO))
    return goals


def memory(held: StreamMemory) -> Goal:
    return Goal(f"{held.streams} open streams, KiB of orchestrator each", held.each_kib, Bound.UNDER, MEMORY_KIB)


def steps(found: Steps) -> Goal:
    return Goal("an agent's step, own ms, p50", found.own.p50, Bound.UNDER, STEP_MS)
