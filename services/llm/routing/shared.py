"""Breakers that processes share, in Redis: what one has found out, the others know within a second.

A target that is left out has a key that lives as long as that. Nobody waits for Redis: where it is gone, each process
goes by what it knows itself.
"""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress

from services.llm.routing.target import Target
from services.runtime.redis import GONE, redis_at

log = logging.getLogger(__name__)

PREFIX = "headworks:breaker:"
EVERY_SECONDS = 0.5
DEADLINE_SECONDS = 1.0
CONNECTIONS = 2
LEAST_SECONDS = 0.05


class SharedBreakers:
    """Tells others of the targets that this process leaves out, and leaves out those of others."""

    def __init__(self, url: str, targets: Iterable[Target], every: float = EVERY_SECONDS) -> None:
        self._redis = redis_at(url, DEADLINE_SECONDS, CONNECTIONS)
        self._every = every
        self._targets = {PREFIX + target.identity: target for target in targets}
        self._untold: dict[str, float] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._gone = False
        for target in self._targets.values():
            target.on_open = self._tell

    async def open(self) -> None:
        if self._targets:
            self._task = asyncio.create_task(self._follow(), name="breakers")

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._redis.aclose()

    def _tell(self, target: Target, seconds: float) -> None:
        self._untold[PREFIX + target.identity] = max(seconds, LEAST_SECONDS)
        self._wake.set()

    async def _follow(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._exchange()
                self._gone = False
            except GONE as error:
                if not self._gone:
                    log.warning("Redis is gone: breakers are each process's own", extra={"error": repr(error)})
                self._gone = True

    async def _exchange(self) -> None:
        untold, self._untold = self._untold, {}
        async with asyncio.timeout(DEADLINE_SECONDS), self._redis.pipeline(transaction=False) as pipe:
            for key, seconds in untold.items():
                pipe.set(key, 1, px=round(seconds * 1000))
            for key in self._targets:
                pipe.pttl(key)
            answers = await pipe.execute()
        for target, left in zip(self._targets.values(), answers[len(untold) :], strict=True):
            if left > 0 and left / 1000 > target.breaker.left + self._every:
                target.breaker.hold(left / 1000)
