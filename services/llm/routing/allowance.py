"""How many extra calls a route may make: a share of its calls, so that retries never become a storm. Pure."""

import time
from collections.abc import Callable


class Allowance:
    """Each call adds a `share`, each second `each_second`; each extra call takes one. There is a `burst` to begin with,
    which is the most. Without a share there are none."""

    def __init__(
        self, share: float, burst: float, each_second: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._share = share
        self._burst = burst if share else 0.0
        self._each_second = each_second
        self._clock = clock
        self._left = self._burst
        self._since = clock()

    def call(self) -> None:
        """A call is made."""
        self._left = min(self._burst, self._left + self._share)

    def take(self) -> bool:
        """One extra call; False where there may be none."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._since) * self._each_second)
        self._since = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
