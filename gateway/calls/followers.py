"""Work that goes on after its call: a bounded number of tasks, ended with the process."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)

MOST = 10_000
CLOSE_SECONDS = 5.0


class Followers:
    """Owns tasks that nobody awaits. Beyond MOST a task is not started, and that is logged."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def add(self, work: Coroutine[Any, Any, object]) -> None:
        """Do it, from now on."""
        if len(self._tasks) >= MOST:
            work.close()
            log.error("too much is followed: something is left undone", extra={"tasks": MOST})
            return
        self.own(asyncio.create_task(work))

    def own(self, task: "asyncio.Task[Any]") -> None:
        """Hold on to work that has begun, whether or not somebody waits for it too."""
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("following failed", exc_info=error)

    async def aclose(self) -> None:
        """Give what is under way a moment, then end it."""
        tasks = set(self._tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
