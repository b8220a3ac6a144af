"""Counters that replicas share, in a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis as Client

from gateway.limits.errors import LimitsUnavailable, RateLimited
from gateway.limits.model import RateLimitDecision, Rule
from gateway.limits.redis_counters import RedisCounters
from gateway.limits.service import RateLimits, RuleBook, WhenGone, default_rule
from services.runtime.identity import Identity
from tests.fixtures.processes import Redis

WHO = Identity("acme", "ann", key="key_1")


@pytest.fixture(autouse=True)
async def _empty(redis_server: Redis) -> None:
    async with Client.from_url(redis_server.url) as client:
        await client.flushall()


@asynccontextmanager
async def limits(
    url: str, *rules: Rule, when_gone: WhenGone = "local", lease: float = 30.0, deadline: float = 30.0
) -> AsyncIterator[RateLimits]:
    book = RuleBook(default_rule(0, 0, 0))
    book.set(rules)
    made = RateLimits(book, RedisCounters(url, deadline, lease), when_gone)
    await made.open()
    try:
        yield made
    finally:
        await made.aclose()


async def admitted(one: RateLimits, tokens: int = 1, stream: bool = False) -> RateLimitDecision | None:
    try:
        return await one.admit(WHO, "rag", tokens, stream)
    except RateLimited:
        return None


async def eventually(one: RateLimits, tokens: int = 1, stream: bool = False) -> RateLimitDecision:
    async with asyncio.timeout(60):
        while (decision := await admitted(one, tokens, stream)) is None:
            await asyncio.sleep(0.02)
    return decision


async def test_replicas_count_together(redis_url: str) -> None:
    rule = Rule("r", tenant="acme", requests=300)
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(limits(redis_url, rule)) for _ in range(3)]
        decisions = await asyncio.gather(*(admitted(replicas[n % 3]) for n in range(450)))
        passed = sum(decision is not None for decision in decisions)
        assert 300 <= passed <= 300 + 5 * 5  # five come back each second


async def test_tokens_are_corrected_behind(redis_url: str) -> None:
    async with limits(redis_url, Rule("r", tenant="acme", tokens=600)) as one:
        decision = await one.admit(WHO, "rag", 600, False)
        assert decision.headers["x-ratelimit-remaining-tokens"] == "0"
        assert await admitted(one, 300) is None
        decision.correct(100)
        assert (await eventually(one, 450)).headers["x-ratelimit-limit-tokens"] == "600"


async def test_a_refusal_says_what_and_when(redis_url: str) -> None:
    async with limits(redis_url, Rule("wide", requests=100), Rule("r", tenant="acme", requests=2)) as one:
        await one.admit(WHO, "rag", 1, False)
        assert (await one.admit(WHO, "rag", 1, False)).headers["x-ratelimit-remaining-requests"] == "0"
        with pytest.raises(RateLimited) as refused:
            await one.admit(WHO, "rag", 1, False)
        assert refused.value.details["rule"] == "r"
        assert refused.value.retry_after == pytest.approx(30, abs=2)
        assert refused.value.headers["x-ratelimit-limit-requests"] == "2"


async def test_streams_are_counted_until_they_end(redis_url: str) -> None:
    async with limits(redis_url, Rule("r", tenant="acme", streams=2)) as one:
        first = await admitted(one, stream=True)
        assert first is not None
        assert await admitted(one, stream=True)
        assert await admitted(one, stream=True) is None
        assert await admitted(one)
        first.release()
        await eventually(one, stream=True)
        assert await admitted(one, stream=True) is None


async def lease_end(client: Client) -> float:
    """When the lease of the only stream ends, in Redis's microseconds."""
    (key,) = [key async for key in client.scan_iter(_type="zset")]
    leases: Any = await client.zrange(key, 0, -1, withscores=True)
    return max(float(end) for _, end in leases)


async def now(client: Client) -> float:
    seconds, microseconds = await client.time()
    return float(seconds * 1_000_000 + microseconds)


async def test_streams_of_a_replica_that_died_end_with_their_lease(redis_url: str) -> None:
    rule = Rule("r", tenant="acme", streams=1)
    async with limits(redis_url, rule, lease=1.0) as one:
        dead = RedisCounters(redis_url, 1.0, 1.0)  # never opened: nobody renews
        book = RuleBook(default_rule(0, 0, 0))
        book.set([rule])
        await dead.admit(book.plan(WHO, "rag"), 1, True)
        assert await admitted(one, stream=True) is None
        held = await eventually(one, stream=True)
        async with Client.from_url(redis_url) as client:
            ends = await lease_end(client)
            while await now(client) <= ends:
                assert await admitted(one, stream=True) is None
                await asyncio.sleep(0.02)
            assert await lease_end(client) > ends, "a living stream is renewed"
        assert await admitted(one, stream=True) is None
        held.release()
        await eventually(one, stream=True)
        await dead.aclose()


@pytest.mark.parametrize("when_gone", ["open", "closed", "local"])
async def test_what_happens_when_redis_is_gone(redis_server: Redis, when_gone: WhenGone) -> None:
    rule = Rule("r", tenant="acme", requests=3)
    async with limits(redis_server.url, rule, when_gone=when_gone) as one:
        assert await admitted(one)
        redis_server.stop()
        if when_gone == "closed":
            with pytest.raises(LimitsUnavailable):
                await admitted(one)
        else:
            passed = sum([await admitted(one) is not None for _ in range(10)])
            assert passed == (10 if when_gone == "open" else 3)


async def test_a_redis_that_is_silent_keeps_nobody_waiting(redis_server: Redis) -> None:
    async with limits(redis_server.url, Rule("r", tenant="acme", requests=1000), deadline=0.1) as one:
        assert await admitted(one)
        redis_server.pause()
        try:
            begun = asyncio.get_running_loop().time()
            answers = await asyncio.gather(*(admitted(one) for _ in range(100)))
            assert asyncio.get_running_loop().time() - begun < 2
            assert all(answers)
        finally:
            redis_server.resume()


async def test_redis_taken_away_and_brought_back_under_load(redis_server: Redis) -> None:
    rule = Rule("r", tenant="acme", requests=1_000_000_000)
    over = asyncio.Event()
    passed = 0

    async def caller(one: RateLimits) -> None:
        nonlocal passed
        while not over.is_set():
            decision = await one.admit(WHO, "rag", 5, True)
            passed += 1
            decision.correct(1)
            decision.release()
            await asyncio.sleep(0)

    async def more(count: int) -> None:
        async with asyncio.timeout(60):
            before = passed
            while passed < before + count:
                await asyncio.sleep(0.01)

    async with limits(redis_server.url, rule, deadline=0.25) as one:
        callers: Sequence[asyncio.Task[None]] = [asyncio.create_task(caller(one)) for _ in range(16)]
        for _ in range(2):
            await more(200)
            redis_server.stop()
            await more(200)
            redis_server.start()
            async with asyncio.timeout(60), Client.from_url(redis_server.url) as client:
                while not await client.dbsize():
                    await asyncio.sleep(0.02)
        over.set()
        await asyncio.gather(*callers)
        assert passed >= 800
