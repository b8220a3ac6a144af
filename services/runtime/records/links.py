"""Connections to PostgreSQL: made to their end though whoever asked has left, and none left open at the end.

SQLAlchemy does not close a connection whose preparation is cancelled; the driver finds that out when it is collected,
and the server keeps it until then.
"""

import asyncio
from typing import Any, TypeAlias

import asyncpg

Link: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Links:
    """Makes connections."""

    def __init__(self) -> None:
        self._made: set[Link] = set()
        self._making: set[asyncio.Task[Link]] = set()

    async def connect(self, *server: Any, **named: Any) -> Link:
        """As asyncpg's own."""
        making = asyncio.create_task(self._make(*server, **named))
        self._making.add(making)
        making.add_done_callback(self._making.discard)
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(_terminate)
            raise

    async def ended(self) -> None:
        """Close what nobody closed."""
        await asyncio.gather(*self._making, return_exceptions=True)
        for link in self._made:
            if not link.is_closed():
                link.terminate()

    async def _make(self, *server: Any, **named: Any) -> Link:
        link: Link = await asyncpg.connect(*server, **named)
        self._made = {each for each in self._made if not each.is_closed()} | {link}
        return link


def _terminate(made: "asyncio.Task[Link]") -> None:
    if not made.cancelled() and not made.exception():
        made.result().terminate()
