"""What tokens cost."""

import asyncio
from collections.abc import Mapping

import pytest

from gateway.usage.prices import FREE, Price, Prices
from services.runtime.errors import Unavailable


@pytest.mark.parametrize(
    ("prompt", "completion", "nanos"), [(0, 0, 0), (1_000_000, 0, 5), (0, 1_000_000, 7), (1, 0, 1), (10, 10, 1)]
)
def test_a_price_is_rounded_up(prompt: int, completion: int, nanos: int) -> None:
    assert Price(5, 7).nanos(prompt, completion) == nanos


async def test_the_last_prices_stay() -> None:
    asked = 0
    seen = asyncio.Event()

    async def fetch() -> Mapping[str, Price]:
        nonlocal asked
        asked += 1
        if asked >= 3:
            seen.set()
        if asked > 1:
            raise Unavailable("gone")
        return {"llm": Price(1, 2)}

    prices = Prices(fetch, seconds=0.001)
    assert prices.of("llm") == FREE
    await prices.open()
    async with asyncio.timeout(5):
        await seen.wait()
    assert prices.of("llm") == Price(1, 2)
    assert prices.of("other") == FREE
    await prices.aclose()
