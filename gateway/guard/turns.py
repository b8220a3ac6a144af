"""Long texts are screened in a thread, a slice at a time: tenants take turns, and the event loop goes on between."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Generator, Hashable
from typing import TypeVar

from services.runtime.errors import DomainError, ErrorKind
from services.runtime.fairness import FairLimit

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work that yields wherever somebody else may go on."""
# So long one text is screened before the next tenant has its turn.
TURN_SECONDS = 0.02
# While a text is screened, so that the event loop waits no longer than this for the interpreter.
SWITCH_SECONDS = 0.0005
MOST_OF_A_TENANT = 256


class ScreeningBusy(DomainError):
    """A tenant has as many long texts under way as it may."""

    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "SCREENING_BUSY"

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} long requests of this tenant are being screened; ask again when some are over")


class Turns:
    """One thread at a time, since the interpreter runs no more; of those who wait the tenant goes on that has had
    nothing for longest. `most`: what one tenant may have under way."""

    def __init__(self, most: int = MOST_OF_A_TENANT) -> None:
        self._place = FairLimit(1)
        self._most = most
        self._of: Counter[Hashable] = Counter()

    async def run(self, owner: Hashable, steps: Steps[T]) -> T:
        """What the steps return. Raises ScreeningBusy, and what they raise."""
        if self._of[owner] >= self._most:
            raise ScreeningBusy(self._most).retry_in(1)
        self._of[owner] += 1
        try:
            return await self._run(owner, steps)
        finally:
            self._of[owner] -= 1
            if not self._of[owner]:
                del self._of[owner]

    async def _run(self, owner: Hashable, steps: Steps[T]) -> T:
        while True:
            async with self._place.place((owner,)):
                usual = sys.getswitchinterval()
                sys.setswitchinterval(SWITCH_SECONDS)
                try:
                    done = await asyncio.to_thread(_advance, steps)
                finally:
                    sys.setswitchinterval(usual)
            if done:
                return done[0]


def at_once(steps: Steps[T]) -> T:
    """What the steps return, here and now."""
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            result: T = ended.value
            return result


def _advance(steps: Steps[T]) -> tuple[T] | tuple[()]:
    """Go on for a turn; what the steps return, once they have."""
    until = time.monotonic() + TURN_SECONDS
    try:
        while time.monotonic() < until:
            next(steps)
    except StopIteration as ended:
        return (ended.value,)
    return ()
