"""How long an engine may take."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from services.llm.time_left import ModelTimeout, time_left, within
from services.runtime import call as calls
from services.runtime.call import Call
from services.runtime.errors import DeadlineExceeded, Kind


async def slow(seconds: float, error: Exception | None = None) -> AsyncGenerator[int, None]:
    yield 1
    await asyncio.sleep(seconds)
    if error:
        raise error
    yield 2


async def test_what_comes_in_time_passes() -> None:
    async with aclosing(slow(0)) as pieces:
        assert [piece async for piece in within(30, "small", pieces)] == [1, 2]


async def test_a_generation_has_a_time_limit() -> None:
    async with aclosing(slow(30)) as pieces:
        limited = within(0.02, "small", pieces)
        assert await anext(limited) == 1
        with pytest.raises(ModelTimeout) as caught:
            await anext(limited)
    assert (caught.value.kind, caught.value.details) == (Kind.DEADLINE_EXCEEDED, {"model": "small"})


async def test_an_engines_own_time_limit_is_not_taken_for_it() -> None:
    async with aclosing(slow(0, TimeoutError())) as pieces:
        limited = within(30, "small", pieces)
        assert await anext(limited) == 1
        with pytest.raises(TimeoutError):
            await anext(limited)


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
