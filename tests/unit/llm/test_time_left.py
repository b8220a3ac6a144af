"""How long an engine may take."""

import time

import pytest

from services.llm.time_left import time_left
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
