"""When a breaker opens, and how it comes back."""

import pytest

from services.runtime.breaker import LONGEST_PAUSE, Breaker, BreakerState


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_by_default_one_failure_opens_and_one_answer_closes(clock: Clock) -> None:
    breaker = Breaker(clock)
    assert breaker.admits()
    assert breaker.failed()
    assert (breaker.state, breaker.admits(), breaker.left) == (BreakerState.OPEN, False, 1.0)
    breaker.succeeded()
    assert (breaker.state, breaker.admits()) == (BreakerState.CLOSED, True)


def test_one_call_is_let_through_on_trial_and_the_pause_doubles(clock: Clock) -> None:
    breaker = Breaker(clock)
    breaker.failed()
    pauses = []
    for _ in range(5):
        clock.now += breaker.left
        assert breaker.state is BreakerState.HALF_OPEN
        assert (breaker.admits(), breaker.admits()) == (True, False)
        breaker.failed()
        pauses.append(breaker.left)
    assert pauses == [2, 4, 8, LONGEST_PAUSE, LONGEST_PAUSE]


def test_a_trial_that_nothing_is_heard_of_is_made_again(clock: Clock) -> None:
    breaker = Breaker(clock)
    breaker.failed()
    clock.now += 1
    assert breaker.admits()
    assert not breaker.admits()
    clock.now += 1
    assert breaker.admits()


def sharing(clock: Clock) -> Breaker:
    return Breaker(clock, share=0.5, least=4, seconds=10)


def test_a_share_of_the_last_calls_opens(clock: Clock) -> None:
    breaker = sharing(clock)
    for failed in (False, False, True, False, True, True):
        assert breaker.state is BreakerState.CLOSED, "too few, or too few of them"
        breaker.failed() if failed else breaker.succeeded()
    assert breaker.state is BreakerState.OPEN


def test_failures_in_a_row_open_however_many_went_well_before(clock: Clock) -> None:
    breaker = sharing(clock)
    for _ in range(1000):
        breaker.succeeded()
    assert [breaker.failed() for _ in range(4)] == [False, False, False, True]


def test_what_is_long_ago_does_not_count(clock: Clock) -> None:
    breaker = sharing(clock)
    for _ in range(3):
        breaker.failed()
    breaker.succeeded()
    clock.now += 16
    assert breaker.failing == 0
    breaker.failed()
    assert breaker.state is BreakerState.CLOSED


def test_an_answer_of_before_does_not_close_it(clock: Clock) -> None:
    breaker = sharing(clock)
    for _ in range(4):
        breaker.failed()
    breaker.succeeded()
    assert breaker.state is BreakerState.OPEN
    assert not breaker.failed(), "nor does a failure of before make it longer"
    clock.now += 1
    assert breaker.admits()
    breaker.succeeded()
    assert (breaker.state, breaker.failing) == (BreakerState.CLOSED, 0)


def test_it_is_held_for_as_long_as_is_asked(clock: Clock) -> None:
    breaker = sharing(clock)
    breaker.hold(30)
    breaker.hold(5)
    assert breaker.left == 30
    clock.now += 30
    assert breaker.state is BreakerState.HALF_OPEN
