"""How long to wait before a process is started again."""

FIRST = 0.2
MOST = 10.0
HEALTHY_SECONDS = 30.0


class Backoff:
    """Doubles the wait from FIRST to MOST with each death, and begins anew after a life of HEALTHY_SECONDS."""

    def __init__(self, first: float = FIRST, most: float = MOST, healthy: float = HEALTHY_SECONDS) -> None:
        self._first = first
        self._most = most
        self._healthy = healthy
        self._next = first

    def after(self, healthy_for: float) -> float:
        """Seconds to wait, given for how long the process that died was healthy."""
        if healthy_for >= self._healthy:
            self._next = self._first
        delay = self._next
        self._next = min(self._most, delay * 2)
        return delay
