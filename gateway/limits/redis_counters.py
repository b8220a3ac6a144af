"""Counters that all replicas share, in Redis: one script call for an admission; what follows it goes out behind."""

import asyncio
import secrets
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gateway.limits.errors import RateLimited
from gateway.limits.rule import MINUTE, Limited
from gateway.limits.script import ADMIT, CORRECT, RENEW
from gateway.limits.ticket import Standing, Ticket, charge, headers

# One slot of a cluster, because a script's keys must be on one node.
PREFIX = "{headworks:limits}:"
WHAT = ("requests", "tokens", "streams")
MICRO = 1e-6
WAITING = 20_000
BATCH = 200
PAUSE_SECONDS = 0.2
GONE = (RedisError, OSError, TimeoutError)
Step = tuple[str, list[str], list[str | int]]


class RedisCounters:
    """`deadline`: seconds that an admission may take. `lease`: seconds after which the streams of a process that died
    are free again. Methods that ask Redis raise one of GONE."""

    def __init__(self, url: str, deadline: float, lease: float, connections: int = 32) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=connections,
            timeout=deadline,
            socket_timeout=deadline,
            socket_connect_timeout=deadline,
            retry=Retry(NoBackoff(), 0),
        )
        self._redis = Redis.from_pool(pool)
        self._deadline = deadline
        self._lease = lease
        self._admit = self._redis.register_script(ADMIT)
        self._scripts = {name: self._redis.register_script(name) for name in (CORRECT, RENEW)}
        self._open: dict[str, Ticket] = {}
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

    async def admit(self, plan: Sequence[Limited], tokens: int, stream: bool) -> Ticket:
        """Let the call in under all rules, or raise RateLimited and count nothing."""
        id_ = secrets.token_hex(8) if stream else ""
        arguments: list[str | int] = [tokens, int(stream), id_, int(self._lease * 1000)]
        keys: list[str] = []
        for limited in plan:
            keys += [_bucket(limited), _streams(limited)]
            arguments += [limited.rule.requests, limited.rule.tokens, limited.rule.streams]
        async with asyncio.timeout(self._deadline):
            answer: list[int] = await self._admit(keys=keys, args=arguments)
        let_in, refused, what, wait, *used = answer
        standings = [
            Standing(limited, used[2 * index] * MICRO, used[2 * index + 1] * MICRO)
            for index, limited in enumerate(plan)
        ]
        if not let_in:
            raise RateLimited(plan[refused - 1], WHAT[what - 1], headers(standings)).retry_in(wait * MICRO)
        ticket = Ticket(self, standings, tokens, stream, id_)
        if stream:
            self._open[id_] = ticket
        return ticket

    def correct(self, ticket: Ticket, tokens: int) -> None:
        for limited in (one.limited for one in ticket.standings if one.limited.rule.tokens):
            limit = limited.rule.tokens
            if more := tokens - charge(ticket.charged, limit):
                self._later((CORRECT, [_bucket(limited)], [round(more * MINUTE / limit / MICRO)]))

    def release(self, ticket: Ticket) -> None:
        self._open.pop(ticket.id, None)
        if keys := _stream_keys(ticket):
            self._later(("", keys, [ticket.id]))

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
            for id_, ticket in self._open.items():
                if keys := _stream_keys(ticket):
                    self._later((RENEW, keys, [id_, int(self._lease * 1000)]))


def _bucket(limited: Limited) -> str:
    return PREFIX + limited.bucket


def _streams(limited: Limited) -> str:
    return f"{PREFIX}{limited.bucket}:streams"


def _stream_keys(ticket: Ticket) -> list[str]:
    return [_streams(one.limited) for one in ticket.standings if one.limited.rule.streams]
