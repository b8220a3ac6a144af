"""Counters that all replicas share, in Redis: one script call for an admission; what follows it goes out behind.

As in memory.py, a bucket is a hash of two times, in microseconds of Redis's own clock, at which all of the minute is
free again, and a sorted set of the open streams by the end of their leases. A script is one round trip and one atomic
step.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from gateway.limits.errors import RateLimited
from gateway.limits.model import MINUTE, AppliedRule, LimitUsage, RateLimitDecision, charge, headers
from services.runtime.redis import GONE, redis_at

# KEYS: bucket and streams of each rule in turn. ARGV: tokens, 1 for a stream, the call's id, its lease in ms, then
# requests, tokens and streams of each rule. Answers 1 (admitted) or 0, then the number of the refusing rule (from 1),
# of what is over (1 requests, 2 tokens, 3 streams), the wait, then the time used of requests and of tokens for each.
ADMIT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local minute, slack = 60000000, 0.001
local tokens, stream, lease = tonumber(ARGV[1]), ARGV[2] == '1', tonumber(ARGV[4])
local refused, what, wait = 0, 0, 0
local state = {}

local function over(used, count, limit)
  return used + (count - slack) * minute / limit - minute
end

for i = 1, #KEYS / 2 do
  local bucket, streams = KEYS[2 * i - 1], KEYS[2 * i]
  local r, t, s = tonumber(ARGV[3 * i + 2]), tonumber(ARGV[3 * i + 3]), tonumber(ARGV[3 * i + 4])
  local found = redis.call('HMGET', bucket, 'r', 't')
  local one = {
    requests = math.max((tonumber(found[1]) or 0) - now, 0),
    tokens = math.max((tonumber(found[2]) or 0) - now, 0),
    r = r, t = t, s = s,
  }
  state[i] = one
  if refused == 0 and r > 0 and over(one.requests, 1, r) > 0 then
    refused, what, wait = i, 1, over(one.requests, 1, r)
  end
  if refused == 0 and t > 0 and over(one.tokens, math.min(tokens, t), t) > 0 then
    refused, what, wait = i, 2, over(one.tokens, math.min(tokens, t), t)
  end
  if refused == 0 and s > 0 and stream then
    redis.call('ZREMRANGEBYSCORE', streams, '-inf', now)
    if redis.call('ZCARD', streams) >= s then
      refused, what, wait = i, 3, 1000000
    end
  end
end

local answer = {refused == 0 and 1 or 0, refused, what, math.ceil(wait)}
for i, one in ipairs(state) do
  local bucket, streams = KEYS[2 * i - 1], KEYS[2 * i]
  if refused == 0 then
    if one.r > 0 then one.requests = one.requests + minute / one.r end
    if one.t > 0 then one.tokens = one.tokens + math.min(tokens, one.t) * minute / one.t end
    redis.call('HSET', bucket, 'r', string.format('%.0f', now + one.requests),
      't', string.format('%.0f', now + one.tokens))
    redis.call('PEXPIRE', bucket, math.ceil(math.max(one.requests, one.tokens) / 1000) + 1000)
    if stream and one.s > 0 then
      redis.call('ZADD', streams, now + lease * 1000, ARGV[3])
      redis.call('PEXPIRE', streams, lease + 1000)
    end
  end
  answer[#answer + 1] = math.ceil(one.requests)
  answer[#answer + 1] = math.ceil(one.tokens)
end
return answer
"""

# KEYS: a bucket. ARGV: microseconds by which its tokens are free later (or sooner).
CORRECT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local found = redis.call('HMGET', KEYS[1], 'r', 't')
local tokens = math.max(tonumber(found[2]) or 0, now) + tonumber(ARGV[1])
local last = math.max(tokens, tonumber(found[1]) or 0)
redis.call('HSET', KEYS[1], 't', string.format('%.0f', tokens))
redis.call('PEXPIRE', KEYS[1], math.max(math.ceil((last - now) / 1000), 0) + 1000)
return 1
"""

# KEYS: sets of streams. ARGV: a call's id, its lease in ms. Gives an open stream a longer lease.
RENEW = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
for _, streams in ipairs(KEYS) do
  redis.call('ZADD', streams, now + tonumber(ARGV[2]) * 1000, ARGV[1])
  redis.call('PEXPIRE', streams, tonumber(ARGV[2]) + 1000)
end
return 1
"""


# One slot of a cluster, because a script's keys must be on one node.
PREFIX = "{headworks:limits}:"
WHAT = ("requests", "tokens", "streams")
MICRO = 1e-6
WAITING = 20_000
BATCH = 200
PAUSE_SECONDS = 0.2
Step = tuple[str, list[str], list[str | int]]


class RedisCounters:
    """`deadline`: seconds that an admission may take. `lease`: seconds after which the streams of a process that died
    are free again. Methods that ask Redis raise one of GONE."""

    def __init__(self, url: str, deadline: float, lease: float, connections: int = 32) -> None:
        self._redis = redis_at(url, deadline, connections)
        self._deadline = deadline
        self._lease = lease
        self._admit = self._redis.register_script(ADMIT)
        self._scripts = {name: self._redis.register_script(name) for name in (CORRECT, RENEW)}
        self._open: dict[str, RateLimitDecision] = {}
        # The oldest are dropped where Redis is gone for long: a lease ends by itself, an estimate stands.
        self._behind: deque[Step] = deque(maxlen=WAITING)
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        self._tasks = [
            asyncio.create_task(self._follow(), name="limits-behind"),
            asyncio.create_task(self._renew(), name="limits-leases"),
        ]

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(*GONE):
            await self._flush()
        await self._redis.aclose()

    async def admit(self, plan: Sequence[AppliedRule], tokens: int, stream: bool) -> RateLimitDecision:
        """Admit the call under all rules, or raise RateLimited and count nothing."""
        id_ = secrets.token_hex(8) if stream else ""
        arguments: list[str | int] = [tokens, int(stream), id_, int(self._lease * 1000)]
        keys: list[str] = []
        for applied in plan:
            keys += [_bucket(applied), _streams(applied)]
            arguments += [applied.rule.requests, applied.rule.tokens, applied.rule.streams]
        async with asyncio.timeout(self._deadline):
            answer: list[int] = await self._admit(keys=keys, args=arguments)
        admitted, refused, what, wait, *used = answer
        usages = [
            LimitUsage(applied, used[2 * index] * MICRO, used[2 * index + 1] * MICRO)
            for index, applied in enumerate(plan)
        ]
        if not admitted:
            raise RateLimited(plan[refused - 1], WHAT[what - 1], headers(usages)).retry_in(wait * MICRO)
        decision = RateLimitDecision(self, usages, tokens, stream, id_)
        if stream:
            self._open[id_] = decision
        return decision

    def correct(self, decision: RateLimitDecision, tokens: int) -> None:
        for applied in (one.applied for one in decision.usages if one.applied.rule.tokens):
            limit = applied.rule.tokens
            if more := tokens - charge(decision.charged, limit):
                self._later((CORRECT, [_bucket(applied)], [round(more * MINUTE / limit / MICRO)]))

    def release(self, decision: RateLimitDecision) -> None:
        self._open.pop(decision.id, None)
        if keys := _stream_keys(decision):
            self._later(("", keys, [decision.id]))

    def _later(self, step: Step) -> None:
        self._behind.append(step)
        self._wake.set()

    async def _follow(self) -> None:
        """Send what waits, again and again while Redis is gone."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._flush()
            except GONE:
                self._wake.set()
                await asyncio.sleep(PAUSE_SECONDS)

    async def _flush(self) -> None:
        while self._behind:
            steps = [self._behind.popleft() for _ in range(min(BATCH, len(self._behind)))]
            try:
                await self._send(steps)
            except GONE:
                self._behind.extendleft(reversed(steps))
                raise

    async def _send(self, steps: Sequence[Step]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for script, keys, arguments in steps:
            if script:
                await self._scripts[script](keys=keys, args=arguments, client=pipe)
                continue
            for key in keys:
                pipe.zrem(key, *arguments)
        await pipe.execute()

    async def _renew(self) -> None:
        """In the same queue as releases: a stream that has ended is not opened again."""
        while True:
            await asyncio.sleep(self._lease / 3)
            for id_, decision in self._open.items():
                if keys := _stream_keys(decision):
                    self._later((RENEW, keys, [id_, int(self._lease * 1000)]))


def _bucket(applied: AppliedRule) -> str:
    return PREFIX + applied.bucket


def _streams(applied: AppliedRule) -> str:
    return f"{PREFIX}{applied.bucket}:streams"


def _stream_keys(decision: RateLimitDecision) -> list[str]:
    return [_streams(one.applied) for one in decision.usages if one.applied.rule.streams]
