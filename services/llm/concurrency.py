"""How many generations a model does at once, and how many more may wait."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic

from services.llm.chat import Priority
from services.runtime.call import current_or_none
from services.runtime.errors import DomainError, ErrorKind
from services.runtime.fairness import FairLimit, Full, Owner

SHORTEST, LONGEST = 1.0, 60.0
WEIGHT = 0.1  # of the newest generation in the mean that retry_after goes by

_RANKS = {priority: rank for rank, priority in enumerate(Priority)}


class ModelBusy(DomainError):
    """As many generations as the catalogue allows are under way, and the queue is full or too slow."""

    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "MODEL_BUSY"

    def __init__(self, model: str, running: int, waiting: int) -> None:
        super().__init__(
            f"the model {model!r} is busy: {running} requests are under way and {waiting} wait; try again later",
            model=model, running=str(running), waiting=str(waiting),
        )  # fmt: skip


@dataclass(slots=True)
class Waiting:
    """Whether what was begun after `watch_waiting` waits for a place, and has not begun."""

    now: bool = False


_watched: ContextVar[Waiting | None] = ContextVar("waiting", default=None)


def watch_waiting() -> Waiting:
    """Of the call that this task begins next."""
    watched = Waiting()
    _watched.set(watched)
    return watched


class ConcurrencyLimit:
    """Admits `limit` at once; `queue` more wait, `seconds` at most: interactive ones ahead of batch ones, then the
    tenant with the fewest under way."""

    def __init__(
        self, model: str, limit: int, queue: int, seconds: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._model = model
        self._limit = FairLimit(limit, queue, ranks=len(Priority))
        self._seconds = seconds
        self._clock = clock
        self._mean = SHORTEST

    @property
    def running(self) -> int:
        return self._limit.used

    @property
    def waiting(self) -> int:
        return self._limit.waiting

    @asynccontextmanager
    async def place(self, priority: Priority, tenant: str | None = None) -> AsyncIterator[None]:
        """A place for one generation of a tenant, the present caller's unless it is given. Raises ModelBusy."""
        owner = _tenant() if tenant is None else (tenant,)
        watched = _watched.get() or Waiting()
        watched.now = True
        try:
            await self._limit.acquire(owner, rank=_RANKS[priority], seconds=self._seconds)
        except Full:
            raise self._busy() from None
        watched.now = False
        entered = self._clock()
        try:
            yield
        finally:
            self._mean += WEIGHT * (self._clock() - entered - self._mean)
            self._limit.release(owner)

    def _busy(self) -> ModelBusy:
        seconds = self._mean * (self.waiting + 1) / self._limit.total
        error = ModelBusy(self._model, self.running, self.waiting)
        return error.retry_in(round(min(LONGEST, max(SHORTEST, seconds)), 1))


def _tenant() -> Owner:
    """That of the call being served; nobody's outside of one."""
    call = current_or_none()
    return (call.identity.tenant if call is not None and call.identity is not None else "",)
