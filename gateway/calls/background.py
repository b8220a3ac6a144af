"""Work that goes on after its call: a bounded number of tasks, ended with the process."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)

MOST = 10_000
CLOSE_SECONDS = 5.0


class BackgroundTasks:
    """Owns tasks that nobody awaits. Beyond `most` a task is not started, and that is logged."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def full(self) -> bool:
        return len(self._tasks) >= self._most

    def add(self, work: Coroutine[Any, Any, object], *, must: bool = False) -> None:
        """Start the work; what `must` be done, however much there is."""
        if self.full and not must:
            work.close()
            log.error("too many background tasks: one is left undone", extra={"tasks": self._most})
            return
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a background task failed", exc_info=error)

    async def aclose(self) -> None:
        """Give what is under way a moment, then end it."""
        tasks = set(self._tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
