"""Breakers that processes share, over a real Redis."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from services.llm.catalogue.entry import BreakerSpec, CatalogueEntry, EngineKind
from services.llm.faults import Fault
from services.llm.routing.shared import SharedBreakers
from services.llm.routing.target import Target
from services.runtime.breaker import BreakerState
from tests.fakes.serving import until
from tests.fixtures.processes import Redis

Make = Callable[..., Awaitable[Target]]


@pytest.fixture
async def process(redis_server: Redis) -> AsyncIterator[Make]:
    """A target as one of several processes knows it."""
    async with AsyncExitStack() as stack:

        async def made(name: str = "shared-a", url: str = "http://h/v1") -> Target:
            entry = CatalogueEntry(name, EngineKind.OPENAI, base_url=url, breaker=BreakerSpec(0.5, 1, 10))
            target = Target(entry)
            shared = SharedBreakers(redis_server.url, [target], every=0.05)
            await shared.open()
            stack.push_async_callback(shared.aclose)
            return target

        yield made


async def test_what_one_has_found_out_the_other_knows(process: Make) -> None:
    one, other, elsewhere = await process(), await process(), await process(url="http://elsewhere/v1")
    one.failed(Fault.RATE_LIMIT, retry_after=20)
    one.failed(Fault.RATE_LIMIT, retry_after=20)
    await until(lambda: not other.ready)
    assert 10 < other.breaker.left <= 20
    assert elsewhere.ready, "another place"


async def test_a_breaker_that_opens_is_open_for_all_until_its_trial(process: Make) -> None:
    one, other = await process("shared-b"), await process("shared-b")
    one.failed(Fault.CONNECT)
    assert one.breaker.state is BreakerState.OPEN
    await until(lambda: other.breaker.state is BreakerState.OPEN)
    await until(lambda: other.breaker.state is BreakerState.HALF_OPEN)
    assert other.breaker.admits()
    other.begun(0.1)
    assert other.breaker.state is BreakerState.CLOSED


async def test_without_redis_each_goes_by_what_it_knows(process: Make, redis_server: Redis) -> None:
    one, other = await process("shared-c"), await process("shared-c")
    redis_server.stop()
    one.failed(Fault.CONNECT)
    assert not one.ready
    assert other.ready
    redis_server.start()
    one.failed(Fault.RATE_LIMIT, retry_after=30)
    one.failed(Fault.RATE_LIMIT, retry_after=30)
    await until(lambda: not other.ready)
