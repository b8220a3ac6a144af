"""Answers in a real Redis."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from redis.asyncio import Redis as Client

from gateway.cache.entry import CHAT, CachedAnswer, DocumentVersion, Used
from gateway.cache.redis_answers import RedisAnswers
from gateway.cache.store import AnswersGone
from tests.fixtures.processes import Redis

NOW = 1_000.0


@pytest.fixture
async def answers(redis_url: str) -> AsyncIterator[RedisAnswers]:
    async with Client.from_url(redis_url) as client:
        await client.flushall()
    opened = RedisAnswers(redis_url, most=3, deadline=30)
    yield opened
    await opened.aclose()


def answer(number: int, tenant: str = "acme", seconds: float = 60) -> CachedAnswer:
    documents = (DocumentVersion("docs", "d1", "ab", 7),)
    return CachedAnswer(
        f"k{number}",
        "p",
        tenant,
        "ann",
        "small",
        CHAT,
        NOW + number,
        NOW + seconds,
        Used(1, 2, 3),
        b"{}\x00",
        documents,
    )


async def listed(answers: RedisAnswers, tenant: str = "acme") -> list[str]:
    async with aclosing(answers.all(tenant)) as found:
        return [each.key async for each in found]


async def test_an_answer_comes_back_as_it_was(answers: RedisAnswers) -> None:
    await answers.put(answer(1), NOW)
    assert await answers.get("acme", "k1") == answer(1)
    assert await answers.get("other", "k1") is None
    await answers.delete("acme", "k1")
    assert await answers.get("acme", "k1") is None
    assert await listed(answers) == []


async def test_a_tenant_has_so_many_and_the_oldest_go(answers: RedisAnswers) -> None:
    await answers.put(answer(0, "other"), NOW)
    for number in range(5):
        await answers.put(answer(number), NOW)
    assert await listed(answers) == ["k4", "k3", "k2"]
    assert await answers.get("acme", "k0") is None
    assert await listed(answers, "other") == ["k0"]


async def test_what_is_no_answer_is_a_miss(answers: RedisAnswers, redis_url: str) -> None:
    await answers.put(answer(1), NOW)
    async with Client.from_url(redis_url) as client:
        [key] = [key async for key in client.scan_iter("*:a:k1")]
        await client.set(key, b"\x00\x00\x00\x05{bad}")
    assert await answers.get("acme", "k1") is None
    assert await listed(answers) == []


async def test_a_redis_that_hangs_is_gone_soon(redis_server: Redis) -> None:
    answers = RedisAnswers(redis_server.url, most=3, deadline=0.2)
    redis_server.pause()
    try:
        for _ in range(2):
            with pytest.raises(AnswersGone):
                await answers.get("acme", "k1")
    finally:
        redis_server.resume()
        await answers.aclose()
