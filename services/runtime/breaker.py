"""A breaker: it remembers that a dependency is gone, so that not every call waits to find out."""

import time
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 8.0


class BreakerState(StrEnum):
    """What a breaker does with calls: lets all through, none, or one on trial."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Closed until too many calls fail, then open for a pause that doubles with each failed trial. After the pause one
    call is let through as a trial; the others stay away until it has ended, or for another pause.

    Too many: `least` one after the other, or the `share` of at least `least` calls of the last `seconds`. With the
    default that is the first failure. `clock` in seconds.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, share: float = 0.0, least: int = 1, seconds: float = 10.0
    ) -> None:
        self._clock = clock
        self._share = share
        self._least = least
        self._half = seconds / 2
        # Calls and failures of the present half of the time and of the one before it.
        self._counts = [0, 0, 0, 0]
        self._turns = clock() + self._half
        self.row = 0
        """Failures one after the other."""
        self._pause = 0.0
        self._until = 0.0
        self._trial = False

    @property
    def open(self) -> bool:
        """Whether the dependency is taken to be gone."""
        return self._pause > 0

    @property
    def state(self) -> BreakerState:
        if not self.open:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self.left > 0 else BreakerState.HALF_OPEN

    @property
    def left(self) -> float:
        """Seconds until a call is let through; 0 where one is now."""
        return max(0.0, self._until - self._clock()) if self.open else 0.0

    @property
    def failing(self) -> float:
        """The share of the last calls that have failed."""
        self._turn()
        calls, failures, before, failed_before = self._counts
        return (failures + failed_before) / max(calls + before, 1)

    def admits(self) -> bool:
        """Whether to call the dependency now; `succeeded` or `failed` is to follow, unless nothing was learned."""
        if not self.open:
            return True
        now = self._clock()
        if now < self._until:
            return False
        self._until = now + self._pause
        self._trial = True
        return True

    def succeeded(self) -> None:
        """The dependency has answered. Where one failure is not enough to open, one answer of before is not enough to
        close: only a trial's is."""
        self._count(0)
        self.row = 0
        if self.open and (self._trial or self._least == 1):
            self._pause, self._trial = 0.0, False
            self._counts = [0, 0, 0, 0]

    def failed(self) -> bool:
        """The dependency has not answered. Returns whether that has opened the breaker, or keeps it open longer."""
        self._count(1)
        self.row += 1
        if self.open and not self._trial and self._least > 1:
            return False  # it was called before the breaker opened
        if not self.open and self.row < self._least and (self._calls < self._least or self.failing < self._share):
            return False
        self._pause = min(self._pause * 2, LONGEST_PAUSE) or FIRST_PAUSE
        self._trial = False
        self._until = self._clock() + self._pause
        return True

    def hold(self, seconds: float) -> None:
        """Stay away for so long, whatever was counted: the dependency has asked for it, or someone else found out."""
        self._pause = self._pause or FIRST_PAUSE
        self._until = max(self._until, self._clock() + seconds)

    @property
    def _calls(self) -> int:
        return self._counts[0] + self._counts[2]

    def _count(self, failures: int) -> None:
        self._turn()
        self._counts[0] += 1
        self._counts[1] += failures

    def _turn(self) -> None:
        now = self._clock()
        if now < self._turns:
            return
        late = now >= self._turns + self._half
        self._counts = [0, 0, 0, 0] if late else [0, 0, *self._counts[:2]]
        self._turns = now + self._half


class Breakers:
    """A breaker for each name, such as a host's: of those that were used last, `most` of them."""

    def __init__(self, make: Callable[[], Breaker] = Breaker, most: int = 256) -> None:
        self._make = make
        self._most = most
        self._breakers: OrderedDict[str, Breaker] = OrderedDict()

    def of(self, name: str) -> Breaker:
        breaker = self._breakers.get(name)
        if breaker is None:
            breaker = self._breakers[name] = self._make()
            if len(self._breakers) > self._most:
                self._breakers.popitem(last=False)
        self._breakers.move_to_end(name)
        return breaker
