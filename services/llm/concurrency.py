"""How many generations a model does at once, and how many more may wait."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic

from services.llm.chat import Priority
from services.runtime.errors import DomainError, ErrorKind

SHORTEST, LONGEST = 1.0, 60.0
WEIGHT = 0.1  # of the newest generation in the mean that retry_after goes by


class ModelBusy(DomainError):
    """As many generations as the catalogue allows are under way, and the queue is full or too slow."""

    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "MODEL_BUSY"

    def __init__(self, model: str, running: int, waiting: int) -> None:
        super().__init__(
            f"the model {model!r} is busy: {running} requests are under way and {waiting} wait; try again later",
            model=model, running=str(running), waiting=str(waiting),
        )  # fmt: skip


class ConcurrencyLimit:
    """Admits `limit` at once; `queue` more wait, `seconds` at most, interactive ones ahead of batch ones."""

    def __init__(
        self, model: str, limit: int, queue: int, seconds: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._model = model
        self._limit = limit
        self._queue = queue
        self._seconds = seconds
        self._clock = clock
        self._waiters: dict[Priority, deque[asyncio.Future[None]]] = {one: deque() for one in Priority}
        self._mean = SHORTEST
        self.running = 0

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiters.values()))

    @asynccontextmanager
    async def place(self, priority: Priority) -> AsyncIterator[None]:
        """A place for one generation. Raises ModelBusy."""
        await self._enter(priority)
        entered = self._clock()
        try:
            yield
        finally:
            self._mean += WEIGHT * (self._clock() - entered - self._mean)
            self._leave()

    async def _enter(self, priority: Priority) -> None:
        if self.running < self._limit:
            self.running += 1
            return
        if self.waiting >= self._queue:
            raise self._busy()
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[priority].append(place)
        try:
            async with asyncio.timeout(self._seconds):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled():
                self._leave()
            else:
                with suppress(ValueError):
                    self._waiters[priority].remove(place)
            if isinstance(error, TimeoutError):
                raise self._busy() from None
            raise

    def _leave(self) -> None:
        """Hand the place on, or give it up."""
        for waiters in self._waiters.values():
            while waiters:
                place = waiters.popleft()
                if not place.done():
                    place.set_result(None)
                    return
        self.running -= 1

    def _busy(self) -> ModelBusy:
        seconds = self._mean * (self.waiting + 1) / self._limit
        error = ModelBusy(self._model, self.running, self.waiting)
        return error.retry_in(round(min(LONGEST, max(SHORTEST, seconds)), 1))
