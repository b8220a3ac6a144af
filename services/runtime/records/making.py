"""Connections that are made to their end though whoever asked has left: one that is cut off midway is closed by
nobody."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Making(Generic[T]):
    """What is being made. `drop` closes what nobody waits for any more."""

    def __init__(self, drop: Callable[[T], object]) -> None:
        self._drop = drop
        self._under_way: set[asyncio.Task[T]] = set()

    async def made(self, making: Coroutine[Any, Any, T]) -> T:
        """What it gives; it goes on where the caller is cancelled."""
        task = asyncio.create_task(making)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(self._dropped)
            raise

    async def ended(self) -> None:
        """Wait until nothing is being made."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _dropped(self, task: "asyncio.Task[T]") -> None:
        if not task.cancelled() and not task.exception():
            self._drop(task.result())
