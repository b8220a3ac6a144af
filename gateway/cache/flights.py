"""Equal calls at once: the first one asks, the others wait for its answer."""

import asyncio
from enum import Enum

from gateway.cache.entry import CachedAnswer


class FlightEnd(Enum):
    """Why a flight has ended without an answer for others."""

    LEFT = "left"  # its caller has left, or it was refused: one of those who wait is next
    UNSHARED = "unshared"  # what came is for its own caller alone: each of the others asks


class Flight:
    """One call that asks for all equal ones."""

    def __init__(self) -> None:
        self._end: asyncio.Future[CachedAnswer | FlightEnd] = asyncio.get_running_loop().create_future()

    def land(self, end: CachedAnswer | FlightEnd) -> None:
        """End it. Does nothing the second time."""
        if not self._end.done():
            self._end.set_result(end)

    async def wait(self, seconds: float) -> CachedAnswer | FlightEnd:
        """How it ends; UNSHARED where that takes longer."""
        done, _ = await asyncio.wait((self._end,), timeout=max(0.0, seconds))
        return self._end.result() if done else FlightEnd.UNSHARED


class Flights:
    """Those under way, by key: as many as there are calls."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight] = {}

    def join(self, key: str) -> Flight | None:
        """The flight of an equal call."""
        return self._flights.get(key)

    def begin(self, key: str) -> Flight:
        flight = self._flights[key] = Flight()
        return flight

    def land(self, key: str, flight: Flight, end: CachedAnswer | FlightEnd) -> None:
        """End a flight that this one has begun. Does nothing the second time."""
        if self._flights.get(key) is flight:
            del self._flights[key]
        flight.land(end)
