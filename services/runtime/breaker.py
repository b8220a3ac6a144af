"""A breaker: it remembers that a dependency is gone, so that not every call waits to find out."""

import time
from collections.abc import Callable

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 8.0


class Breaker:
    """Closed until a failure, then open for a pause that doubles with each failed trial. After the pause one call is
    let through as a trial; the others stay away until it has ended, or for another pause. `clock` in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pause = 0.0
        self._until = 0.0

    @property
    def open(self) -> bool:
        """Whether the dependency is taken to be gone."""
        return self._pause > 0

    def admits(self) -> bool:
        """Whether to call the dependency now; `succeeded` or `failed` is to follow, unless nothing was learned."""
        if not self.open:
            return True
        now = self._clock()
        if now < self._until:
            return False
        self._until = now + self._pause
        return True

    def succeeded(self) -> None:
        """The dependency has answered."""
        self._pause = 0.0

    def failed(self) -> None:
        """The dependency has not answered."""
        self._pause = min(self._pause * 2, LONGEST_PAUSE) or FIRST_PAUSE
        self._until = self._clock() + self._pause
