"""A bounded number of open resources: each is opened when first used, once for all who ask, and closed when idle.

At the bound the one that nobody has used for longest is closed for the next; where all are in use, the next one waits.
One in use is never closed. An opening outlives the caller who caused it: a resource that is half open cannot be opened
a second time.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

SWEEPS = 4
"""Looks for idle handles within the time after which they are closed."""


class Handle(Generic[T]):
    """A resource that is open, or being opened. Those who wait for it are its users too."""

    def __init__(self) -> None:
        self.users = 0
        self.used_at = time.monotonic()
        self.ended = asyncio.Event()
        """Set when its opening has ended, well or not."""
        self.error: Exception | None = None
        self._resource: T | None = None
        self._unused = asyncio.Event()

    @property
    def resource(self) -> T:
        """Raises LookupError before it is open."""
        if self._resource is None:
            raise LookupError("the resource is not open")
        return self._resource

    @property
    def is_open(self) -> bool:
        return self._resource is not None

    def opened(self, resource: T) -> None:
        self._resource = resource
        self.ended.set()

    def failed(self, error: Exception) -> None:
        self.error = error
        self.ended.set()

    def enter(self) -> None:
        self.users += 1
        self._unused.clear()

    def leave(self) -> None:
        self.users -= 1
        self.used_at = time.monotonic()
        if not self.users:
            self._unused.set()

    async def unused(self) -> None:
        """Wait until nobody uses it."""
        while self.users:
            await self._unused.wait()


class HandleCache(Generic[K, T]):
    """At most `most` handles, closed after `idle_seconds` without a user. `close` is called with what `open_` gave, and
    raises nothing. Openings go one after the other, each within what `around` gives for its key, which is waited for
    before its turn.
    """

    def __init__(
        self, open_: Callable[[K], Awaitable[T]], close: Callable[[T], Awaitable[None]], most: int, idle_seconds: float,
        around: Callable[[K], AbstractAsyncContextManager[object]] = lambda _: nullcontext(),
    ) -> None:  # fmt: skip
        self._open_resource = open_
        self._close_resource = close
        self._around = around
        self._most = most
        self._idle_seconds = idle_seconds
        self._handles: dict[K, Handle[T]] = {}
        self._closing: dict[K, asyncio.Task[None]] = {}
        self._open_count = 0
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many are open, those that are being closed included."""
        return self._open_count

    def get(self, key: K) -> T | None:
        """The key's resource if it is open. It stays open until the caller next awaits."""
        handle = self._handles.get(key)
        if handle is None or not handle.is_open:
            return None
        handle.used_at = time.monotonic()
        return handle.resource

    async def acquire(self, key: K) -> Handle[T]:
        """The key's handle, open; `release` it. Raises what opening it raises."""
        while key in self._closing:
            await asyncio.shield(self._closing[key])
        handle = self._handles.get(key) or self._begin(key, self._open_resource)
        handle.enter()
        try:
            await handle.ended.wait()
        except BaseException:
            self.release(handle)
            raise
        if handle.error:
            raise handle.error
        return handle

    def release(self, handle: Handle[T]) -> None:
        """The caller no longer uses it."""
        handle.leave()
        if not handle.users:
            self._freed.set()

    async def add(self, key: K, open_: Callable[[K], Awaitable[T]]) -> bool:
        """Open the key's resource in this way; False, and nothing is done, where somebody has or opens it already.
        Raises what `open_` raises."""
        if key in self._handles or key in self._closing:
            return False
        handle = self._begin(key, open_)
        handle.enter()
        try:
            await handle.ended.wait()
        finally:
            self.release(handle)
        if handle.error:
            raise handle.error
        return True

    def replace(self, key: K, resource: T) -> "asyncio.Task[None]":
        """Put another resource in the place of one that is open. Returns what ends when the old one, which nobody uses
        any more, is closed."""
        old, fresh = self._handles[key], Handle[T]()
        fresh.opened(resource)
        self._handles[key] = fresh
        self._open_count += 1
        return self._background(self._retire(old))

    async def discard(self, key: K) -> None:
        """Close the key's resource, if it is open, once nobody uses it; those who come meanwhile wait."""
        if key in self._handles:
            self._shut(key)
        if key in self._closing:
            await asyncio.shield(self._closing[key])

    async def aclose(self) -> None:
        """Close all. Nobody may acquire any more."""
        if self._sweeper:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        for key in tuple(self._handles):
            self._shut(key)
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, key: K, open_: Callable[[K], Awaitable[T]]) -> Handle[T]:
        handle = self._handles[key] = Handle[T]()
        self._background(self._open(key, handle, open_))
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = asyncio.create_task(self._sweep())
        return handle

    async def _open(self, key: K, handle: Handle[T], open_: Callable[[K], Awaitable[T]]) -> None:
        try:
            async with self._around(key), self._turn:
                await self._make_room()
                resource = await open_(key)
                self._open_count += 1
        except Exception as error:  # noqa: BLE001 (everyone who waits raises it)
            if self._handles.get(key) is handle:
                del self._handles[key]
            handle.failed(error)
        else:
            handle.opened(resource)

    async def _make_room(self) -> None:
        while self._open_count >= self._most:
            self._freed.clear()
            idle = [key for key, handle in self._handles.items() if handle.is_open and not handle.users]
            if idle:
                await self.discard(min(idle, key=lambda key: self._handles[key].used_at))
            else:
                await self._freed.wait()

    def _shut(self, key: K) -> None:
        """Let nobody begin, wait for those who have begun, close."""
        self._closing[key] = self._background(self._close(key, self._handles.pop(key)))

    async def _close(self, key: K, handle: Handle[T]) -> None:
        try:
            await self._retire(handle)
        finally:
            del self._closing[key]  # before it has ended: one that has ended makes nobody wait

    async def _retire(self, handle: Handle[T]) -> None:
        await handle.ended.wait()
        await handle.unused()
        if handle.is_open:
            try:
                await self._close_resource(handle.resource)
            finally:
                self._open_count -= 1
                self._freed.set()

    def _background(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _sweep(self) -> None:
        while self._handles:
            await asyncio.sleep(self._idle_seconds / SWEEPS)
            since = time.monotonic() - self._idle_seconds
            for key, handle in tuple(self._handles.items()):
                idle = handle.is_open and not handle.users and handle.used_at <= since
                if idle and self._handles.get(key) is handle:
                    await self.discard(key)
