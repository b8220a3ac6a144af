"""Comments on a stream of events on which nothing comes, so that no proxy takes the silence for a broken connection."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress

WORK = "still working"


def comment(waits_for: str) -> bytes:
    """An event that every client skips."""
    return f": {' '.join((waits_for or WORK).split())}\n\n".encode()


class StreamComments:
    """Calls `beat` whenever there was silence for `seconds`. It costs a stream a timer, and a part of it the time of
    day."""

    def __init__(self, seconds: float, beat: Callable[[], Awaitable[None]]) -> None:
        self._seconds = seconds
        self._beat = beat
        self._loop = asyncio.get_running_loop()
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._beating: asyncio.Task[None] | None = None

    def life(self) -> None:
        """Something goes out, or a stream has begun."""
        self._last = self._loop.time()
        if self._timer is None and self._seconds < math.inf:
            self._timer = self._loop.call_later(self._seconds, self._look)

    async def quiet(self) -> None:
        """Wait until no comment is under way: the parts of a stream do not mix."""
        if self._beating is not None:
            await asyncio.wait((self._beating,))
            self._beating = None

    async def aclose(self) -> None:
        """Let a comment that is under way go out, and no other."""
        if self._timer is not None:
            self._timer.cancel()
        await self.quiet()

    def close(self) -> None:
        """No comment goes out after this."""
        if self._timer is not None:
            self._timer.cancel()
        if self._beating is not None:
            self._beating.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        due = self._last + self._seconds
        if now < due:
            self._timer = self._loop.call_at(due, self._look)
            return
        self._last = now
        self._timer = self._loop.call_later(self._seconds, self._look)
        if self._beating is None or self._beating.done():
            self._beating = self._loop.create_task(self._send())

    async def _send(self) -> None:
        with suppress(OSError):  # whoever left is seen to by the call
            await self._beat()
