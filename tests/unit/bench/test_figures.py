import math

import pytest

from bench.kit.figures import Bound, Goal, Latencies, Summary, percentile, ratio
from bench.kit.harness import Case, Side, alternate, number


def test_a_summary_has_median_and_extremes() -> None:
    assert Summary.of([3.0, 1.0, 2.0]) == Summary(2.0, 1.0, 3.0, (3.0, 1.0, 2.0))
    assert Summary.of([1.0, 2.0]).median == 1.5


def test_nothing_cannot_be_summed_up() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Summary.of([])
    with pytest.raises(ValueError, match="at least one"):
        percentile([], 0.5)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (0.5, 50.0), (0.9, 90.0), (0.99, 99.0), (0.995, 100.0), (1.0, 100.0)]
)
def test_percentiles_are_by_nearest_rank(share: float, expected: float) -> None:
    assert percentile([float(value) for value in range(1, 101)], share) == expected


def test_a_single_value_is_every_percentile() -> None:
    assert Latencies.of([0.004]) == Latencies(4.0, 4.0, 4.0, 4.0)


def test_latencies_are_in_milliseconds_and_need_no_order() -> None:
    latencies = Latencies.of([0.003, 0.001, 0.002])
    assert (latencies.p50, latencies.p99, latencies.highest) == (2.0, 3.0, 3.0)


@pytest.mark.parametrize(
    ("first", "second", "expected"), [(4.0, 2.0, 2.0), (0.0, 2.0, 0.0), (1.0, 0.0, math.inf), (0.0, 0.0, 1.0)]
)
def test_ratios(first: float, second: float, expected: float) -> None:
    assert ratio(first, second) == expected


def test_sides_take_turns() -> None:
    order: list[str] = []

    def side(name: str, value: float) -> Side:
        def run() -> dict[str, float]:
            order.append(name)
            return {"figure": value + len(order)}

        return Side(name, run)

    told: list[str] = []
    results = alternate([Case("one", [side("a", 0), side("b", 100)])], 3, told.append)
    assert order == ["a", "b"] * 3
    assert results["one"]["a"]["figure"].values == (1.0, 3.0, 5.0)
    assert results["one"]["b"]["figure"].median == 104.0
    assert told[0] == "[1/6] one, a: figure 1.00"


@pytest.mark.parametrize(
    ("bound", "limit", "met"),
    [
        (Bound.AT_LEAST, 1.0, True),
        (Bound.AT_MOST, 1.0, True),
        (Bound.UNDER, 1.0, False),
        (Bound.OVER, 1.0, False),
        (Bound.OVER, 0.9, True),
        (Bound.AT_LEAST, 1.1, False),
    ],
)
def test_goals(bound: Bound, limit: float, met: bool) -> None:
    assert Goal("figure", 1.0, bound, limit).met is met


@pytest.mark.parametrize(("value", "text"), [(0.94, "0.940"), (7.126, "7.13"), (43.21, "43.2"), (12345.6, "12,346")])
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text
