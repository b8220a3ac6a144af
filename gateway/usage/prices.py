"""What tokens cost, by the catalogue behind the orchestrator."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from services.runtime.errors import DomainError

log = logging.getLogger(__name__)
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """Of a million tokens read and written, in nanos of the catalogue's currency."""

    input_nanos: int = 0
    output_nanos: int = 0

    def nanos(self, prompt_tokens: int, completion_tokens: int) -> int:
        """What so many tokens cost, rounded up to a whole nano."""
        return -(-(prompt_tokens * self.input_nanos + completion_tokens * self.output_nanos) // MILLION)


FREE = Price()
Fetch = Callable[[], Awaitable[Mapping[str, Price]]]


class Prices:
    """The prices by model or agent, fetched again every `seconds`; the last ones stay where that fails."""

    def __init__(self, fetch: Fetch, seconds: float = 30.0) -> None:
        self._fetch = fetch
        self._seconds = seconds
        self._prices: Mapping[str, Price] = {}
        self._task: asyncio.Task[None] | None = None

    def of(self, model: str) -> Price:
        """The price of a model or agent; one that is not known costs nothing."""
        return self._prices.get(model, FREE)

    async def reload(self) -> None:
        """Raises what fetching raises."""
        self._prices = dict(await self._fetch())

    async def open(self) -> None:
        self._task = asyncio.create_task(self._follow(), name="prices")

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _follow(self) -> None:
        while True:
            pause = self._seconds
            try:
                await self.reload()
            except DomainError as error:
                log.warning("prices not read; the last ones stay", extra={"error": error.reason})
                pause = 1.0 if not self._prices else pause
            except Exception:
                log.exception("prices not read; the last ones stay")
            await asyncio.sleep(pause)
