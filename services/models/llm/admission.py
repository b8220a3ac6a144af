"""Whether a request may wait for the engine, and how long a refused one should stay away."""

from collections import deque

from services.models.llm.errors import Overloaded

RATE_SECONDS = 30.0
SHORTEST, LONGEST = 1.0, 60.0


class AdmissionControl:
    """Bounds the queue in front of the engine. Times are in seconds on one clock.

    At most `running` sequences are generated at once and `queue` more may wait, of which batch requests may take
    `batch_share`: so under load they are refused first.
    """

    def __init__(self, running: int, queue: int, batch_share: float) -> None:
        self._running = running
        self._queue = queue
        self._batch_queue = int(queue * batch_share)
        self._ends: deque[float] = deque(maxlen=4096)
        self.under_way = 0
        self.waiting_in_engine = 0

    @property
    def queued(self) -> int:
        """Requests that wait: those beyond what the engine runs at most, or what it says itself where that is more,
        since memory may hold it to fewer."""
        return max(0, self.under_way - self._running, min(self.waiting_in_engine, self.under_way))

    def enter(self, batch: bool, now: float) -> None:
        """Let a request in. Raises Overloaded."""
        limit = self._batch_queue if batch else self._queue
        beyond = self.queued if self.under_way >= self._running or self.waiting_in_engine else -1
        if beyond >= limit:
            raise Overloaded(self.queued, self.retry_after(beyond - limit + 1, now))
        self.under_way += 1

    def leave(self, now: float) -> None:
        """One that was let in has ended."""
        self.under_way -= 1
        self._ends.append(now)

    def retry_after(self, excess: int, now: float) -> float:
        """Seconds until `excess` requests have ended, at the rate of the last half minute."""
        while self._ends and self._ends[0] < now - RATE_SECONDS:
            self._ends.popleft()
        if not self._ends:
            return SHORTEST
        seconds = max(now - self._ends[0], SHORTEST)
        return round(min(LONGEST, max(SHORTEST, excess * seconds / len(self._ends))), 1)
