import pytest

from bench.kit.figures import Goal, Summary, paired
from bench.llm.goals import FIRST, GAP_P99, RATE, memory, speed
from bench.llm.memory import Held, StreamMemory


def side(rate: float, first: float, gap: float) -> dict[str, Summary]:
    return {name: Summary.of([value]) for name, value in ((RATE, rate), (FIRST, first), (GAP_P99, gap))}


def test_rounds_are_compared_one_by_one() -> None:
    own, theirs = {RATE: Summary.of([10, 40, 90])}, {RATE: Summary.of([10, 20, 100])}
    assert paired(own, theirs, RATE) == 1.0
    assert paired(own, theirs, RATE, lambda mine, other: mine - other) == 0


def met(goals: list[Goal]) -> dict[str, bool]:
    return {goal.name: goal.met for goal in goals}


@pytest.mark.parametrize(
    ("own", "found"), [(side(95, 30, 11), [True, True, True]), (side(94, 33, 13), [False, False, False])]
)
def test_goals_alone(own: dict[str, Summary], found: list[bool]) -> None:
    goals = speed({"1 stream": {"mesh": own, "peer": side(100, 24, 10)}}, "mesh", "peer")
    assert list(met(goals).values()) == found


def test_the_first_text_of_many_streams_is_held_against_a_ratio() -> None:
    results = {"32 streams": {"mesh": side(95, 300, 12), "peer": side(100, 267, 10)}}
    assert met(speed(results, "mesh", "peer")) == {
        "32 streams, tokens/s, ratio": True,
        "32 streams, first text p50 ms, ratio": False,
        "32 streams, gap p99 ms, ratio": True,
    }


def test_memory_is_what_came_on_top_for_each_stream() -> None:
    mib = 1 << 20
    held = StreamMemory(200, Held(100 * mib, 90 * mib), Held(150 * mib, 141 * mib), Held(120 * mib, 110 * mib))
    assert held.each_kib == 256
    assert memory(held).met
