"""What is learned of answers that were compared with the model's."""

import pytest

from gateway.cache.semantic.learning import FIRST, ErrorBudget, Threshold, interval


def test_a_threshold_rises_above_what_was_wrong() -> None:
    threshold = Threshold()
    threshold.learn(0.95, right=True)
    assert threshold.least == 0.0
    threshold.learn(0.95, right=False)
    assert threshold.least > 0.95
    threshold.learn(0.5, right=False)
    assert threshold.least > 0.95


@pytest.mark.parametrize(("wrong", "seen", "low", "high"), [(0, 0, 0, 1), (0, 100, 0, 0.037), (2, 100, 0.006, 0.07)])
def test_an_interval_is_wilsons(wrong: int, seen: int, low: float, high: float) -> None:
    assert interval(wrong, seen) == pytest.approx((low, high), abs=0.001)


def test_a_budget_is_spent_only_where_surely_too_many_are_wrong() -> None:
    budget = ErrorBudget(0.02)
    least = budget.explore(0.05)
    for _ in range(3):
        budget.learn(right=False)
    assert not budget.spent
    assert budget.explore(0.05) > least
    for _ in range(10):
        budget.learn(right=False)
    assert budget.spent
    assert budget.seen == FIRST + 13
