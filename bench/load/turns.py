"""Many calls, so many at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def in_turn(things: Sequence[T], call: Callable[[T], Awaitable[R]], concurrency: int) -> list[R]:
    """The result of each, in order; at most `concurrency` are under way at once."""
    turn = asyncio.Semaphore(concurrency)

    async def one(thing: T) -> R:
        async with turn:
            return await call(thing)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(thing)) for thing in things]
    return [task.result() for task in tasks]
