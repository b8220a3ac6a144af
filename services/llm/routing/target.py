"""A target of routes: a model of the catalogue with what is known of its health and load in this process."""

import hashlib
import time
from collections import deque
from collections.abc import Callable

from services.llm.catalogue.entry import CatalogueEntry
from services.llm.faults import SICK, UNTOLD, Fault
from services.llm.routing import metrics
from services.llm.routing.prefixes import SentPrefixes
from services.runtime.breaker import Breaker, BreakerState

KEPT = 128
"""Answers by whose first token a target's slowness is judged."""
ENOUGH = 20
EACH = 8
"""Answers after which it is judged anew."""
LONGEST_HOLD = 60.0
"""However long a target asks to be left alone."""
LEAST_HEALTH = 0.05
_LEVELS = {BreakerState.CLOSED: 0.0, BreakerState.OPEN: 1.0, BreakerState.HALF_OPEN: 0.5}


class Target:
    """One model. Routes that lead to the same model share it."""

    def __init__(self, entry: CatalogueEntry, clock: Callable[[], float] = time.monotonic) -> None:
        self.entry = entry
        breaker = entry.breaker
        self.breaker = Breaker(clock, breaker.share, breaker.least, breaker.seconds)
        self.in_flight = 0
        self.prefixes = SentPrefixes()
        """What it was sent by routes that go by that."""
        self.slow_seconds: float | None = None
        """The 95th percentile of how long the first token takes; None where too little is known."""
        self.on_open: Callable[[Target, float], None] = lambda target, seconds: None
        """Called with the seconds for which a breaker has opened."""
        self._firsts: deque[float] = deque(maxlen=KEPT)
        self._seen = 0
        metrics.BREAKER.labels(entry.name).set_function(lambda: _LEVELS[self.breaker.state])
        metrics.IN_FLIGHT.labels(entry.name).set_function(lambda: self.in_flight)

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def identity(self) -> str:
        """The same in all processes that ask the same model at the same place with the same key."""
        entry = self.entry
        at = "\0".join((entry.name, entry.base_url, entry.model, entry.lora, entry.api_key_env, entry.api_key_file))
        return hashlib.blake2b(at.encode(), digest_size=16).hexdigest()

    @property
    def ready(self) -> bool:
        """Whether its breaker would let a call through."""
        return self.breaker.left == 0

    def load(self, weight: int) -> float:
        """The lower the better: calls under way by weight, worse for one that fails."""
        return self.in_flight / (weight * max(1 - self.breaker.failing, LEAST_HEALTH))

    def begun(self, seconds: float | None) -> None:
        """An answer has begun after so long; None where it was not a stream."""
        self.breaker.succeeded()
        if seconds is None:
            return
        self._firsts.append(seconds)
        self._seen += 1
        if self._seen % EACH == 0 and len(self._firsts) >= ENOUGH:
            self.slow_seconds = sorted(self._firsts)[int(0.95 * len(self._firsts))]

    def failed(self, fault: Fault, retry_after: float | None = None) -> None:
        """An answer has not begun, or has broken off."""
        if fault in SICK:
            opened = self.breaker.failed()
            if opened:
                self.prefixes.clear()  # one that was started anew has none of them
            if retry_after and self.breaker.row > 1:
                self.hold(min(retry_after, LONGEST_HOLD))
            elif opened:
                self.on_open(self, self.breaker.left)
        elif fault not in UNTOLD:
            self.breaker.succeeded()

    def hold(self, seconds: float) -> None:
        """Leave it out for so long, and tell the others."""
        self.breaker.hold(seconds)
        self.on_open(self, seconds)
