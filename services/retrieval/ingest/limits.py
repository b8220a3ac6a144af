"""What bounds an ingestion: bytes held at once, and one writer for each document."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class SharedAmount:
    """So much of something, shared; whoever asks for more than is left waits, in order.

    One that asks for more than there is in all gets it when nobody else has any.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._used = 0
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def used(self) -> int:
        return self._used

    async def acquire(self, amount: int) -> None:
        if not self._queue and self._fits(amount):
            self._used += amount
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((amount, future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release(amount)
            raise

    def release(self, amount: int) -> None:
        self._used -= amount
        while self._queue and (self._queue[0][1].done() or self._fits(self._queue[0][0])):
            granted, future = self._queue.popleft()
            if not future.done():
                self._used += granted
                future.set_result(None)

    def _fits(self, amount: int) -> bool:
        return self._used == 0 or self._used + amount <= self._total


class Locks:
    """One lock for each key that is in use."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def held(self, key: Hashable) -> AsyncIterator[None]:
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, users - 1)
