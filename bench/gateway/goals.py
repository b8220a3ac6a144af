"""The figures of gateways, and what ours must reach beside others."""

from collections.abc import Mapping

from bench.kit.figures import Bound, Goal, Summary, paired
from bench.kit.harness import Results

HEADWORKS, DIRECT, LITELLM, PORTKEY = "Headworks", "upstream alone", "LiteLLM", "Portkey"
ALONE, MANY, STREAMS = "1 connection", "16 connections", "16 connections, streams"
RATE, P50, P99 = "answers/s", "p50 ms", "p99 ms"
TIMES_LITELLM, TIMES_STREAMS = 15.0, 20.0
TIMES_PORTKEY = 1.5
ADDED_MS = 1.0
GROWTH = 0.05


def speed(results: Results) -> list[Goal]:
    """Of the sides that were measured."""
    alone, many, streams = (results.get(case, {}) for case in (ALONE, MANY, STREAMS))
    goals = []
    if PORTKEY in alone:
        added = paired(alone[HEADWORKS], alone[PORTKEY], P50, lambda own, other: own - other)
        goals.append(Goal(f"{ALONE}, {P50} over {PORTKEY}", added, Bound.AT_MOST, ADDED_MS))
    goals += _times(MANY, many, LITELLM, Bound.AT_LEAST, TIMES_LITELLM)
    goals += _times(MANY, many, PORTKEY, Bound.AT_LEAST, TIMES_PORTKEY)
    goals += _times(STREAMS, streams, LITELLM, Bound.AT_LEAST, TIMES_STREAMS)
    return goals


def memory(grown: float) -> Goal:
    """`grown`: by what share the memory grew."""
    return Goal("memory of the gateways, grown by", grown, Bound.AT_MOST, GROWTH)


def _times(case: str, sides: Mapping[str, Mapping[str, Summary]], peer: str, bound: Bound, limit: float) -> list[Goal]:
    if peer not in sides:
        return []
    return [Goal(f"{case}, {RATE}, times {peer}", paired(sides[HEADWORKS], sides[peer], RATE), bound, limit)]
