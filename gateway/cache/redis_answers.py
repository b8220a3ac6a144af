"""Answers in Redis, which gateways share: an entry of its own for each, and an index of a tenant's by time."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from hashlib import sha256
from typing import Any, TypeVar

from gateway.cache import metrics
from gateway.cache.entry import CachedAnswer, pack, unpack
from gateway.cache.store import AnswersGone
from services.runtime.redis import GONE, redis_at

# For so long nobody asks after Redis failed: a call waits for it no longer than once in that time.
PAUSE_SECONDS = 0.5
AT_ONCE = 16
T = TypeVar("T")

# KEYS: the answer, the tenant's index. ARGV: the answer, its life in ms, its time, its name in the index, the most that
# a tenant may have, the start of the answers' keys. What is over goes, the oldest first.
PUT = """
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[4])
local over = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[5])
if over > 0 then
  for _, key in ipairs(redis.call('ZRANGE', KEYS[2], 0, over - 1)) do
    redis.call('DEL', ARGV[6] .. key)
    redis.call('ZREM', KEYS[2], key)
  end
end
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return 1
"""


class RedisAnswers:
    """`most`: answers of one tenant. `deadline`: seconds that Redis may take; after that it counts as gone, and
    everything raises AnswersGone."""

    def __init__(self, url: str, most: int, deadline: float, connections: int = 32) -> None:
        self._redis = redis_at(url, deadline, connections)
        self._put = self._redis.register_script(PUT)
        self._most = most
        self._deadline = deadline
        self._ask_at = 0.0

    async def get(self, tenant: str, key: str) -> CachedAnswer | None:
        return _read(await self._try(lambda: self._redis.get(_prefix(tenant) + key)))

    async def put(self, answer: CachedAnswer, now: float) -> None:
        life = max(1, round((answer.expires - now) * 1000))
        prefix = _prefix(answer.tenant)
        keys = [prefix + answer.key, _index(answer.tenant)]
        arguments: list[bytes | str | float] = [pack(answer), life, answer.created, answer.key, self._most, prefix]
        await self._try(lambda: self._put(keys=keys, args=arguments))

    async def delete(self, tenant: str, key: str) -> None:
        pipe = self._redis.pipeline(transaction=False)
        pipe.delete(_prefix(tenant) + key)
        pipe.zrem(_index(tenant), key)
        await self._try(pipe.execute)

    async def all(self, tenant: str) -> AsyncGenerator[CachedAnswer, None]:
        """A few at a time, for they may be long. Those that have ended are taken out of the index."""
        keys = [key.decode() for key in await self._try(lambda: self._redis.zrevrange(_index(tenant), 0, -1))]
        for start in range(0, len(keys), AT_ONCE):
            for answer in await self._some(tenant, keys[start : start + AT_ONCE]):
                yield answer

    async def _some(self, tenant: str, keys: Sequence[str]) -> Sequence[CachedAnswer]:
        found = await self._try(lambda: self._redis.mget([_prefix(tenant) + key for key in keys]))
        answers = [_read(data) for data in found]
        if gone := [key for key, answer in zip(keys, answers, strict=True) if answer is None]:
            await self._try(lambda: self._redis.zrem(_index(tenant), *gone))
        return [answer for answer in answers if answer is not None]

    async def aclose(self) -> None:
        await self._redis.aclose()

    async def _try(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        now = asyncio.get_running_loop().time()
        if now < self._ask_at:
            raise AnswersGone
        try:
            async with asyncio.timeout(self._deadline):
                answered = await ask()
        except GONE as error:
            self._ask_at = asyncio.get_running_loop().time() + PAUSE_SECONDS
            metrics.GONE.set(1)
            raise AnswersGone from error
        metrics.GONE.set(0)
        return answered


def _read(data: bytes | None) -> CachedAnswer | None:
    """None for what is no answer, or one of another release."""
    try:
        return None if data is None else unpack(data)
    except ValueError:
        return None


def _tag(tenant: str) -> str:
    """One slot of a cluster for each tenant; a name may hold braces."""
    return "{headworks:cache:" + sha256(tenant.encode()).hexdigest()[:32] + "}"


def _prefix(tenant: str) -> str:
    return f"{_tag(tenant)}:a:"


def _index(tenant: str) -> str:
    return f"{_tag(tenant)}:index"
