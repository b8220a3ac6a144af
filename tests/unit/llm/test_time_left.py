"""How long an engine may take."""

import contextvars
import time

import pytest

from services.llm.time_left import late, time_left
from services.runtime import call as calls
from services.runtime.call import Call
from services.runtime.errors import DeadlineExceeded


@pytest.mark.parametrize(("limit", "remaining"), [(5, 60), (60, 5)])
async def test_time_left(limit: float, remaining: float) -> None:
    calls.enter(Call("/test", deadline=time.monotonic() + remaining))
    assert time_left(limit) == pytest.approx(5, abs=0.5)


async def test_no_time_left() -> None:
    calls.enter(Call("/test", deadline=time.monotonic() - 1))
    with pytest.raises(DeadlineExceeded):
        time_left(5)


def test_outside_of_a_call_there_is_the_limit_alone() -> None:
    assert time_left(5) == 5


@pytest.mark.parametrize(("remaining", "own"), [(5.0, True), (-1.0, False), (None, True)])
def test_a_models_own_limit_is_named_where_it_is_what_passed(remaining: float | None, own: bool) -> None:
    def found() -> DeadlineExceeded | None:
        if remaining is not None:
            calls.enter(calls.Call("/test", deadline=time.monotonic() + remaining))
        return late("the answer", 3)

    error = contextvars.Context().run(found)
    assert (error is not None) == own
    assert error is None or "within 3 seconds, the limit that is set by the model's `timeout`" in error.message
