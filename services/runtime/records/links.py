"""Connections to PostgreSQL, of which none is left open at the end.

SQLAlchemy does not close a connection whose preparation is cancelled; the driver finds that out when it is collected,
and the server keeps it until then.
"""

from typing import Any, TypeAlias

import asyncpg

from services.runtime.records.making import Making

Link: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Links:
    """Makes connections."""

    def __init__(self) -> None:
        self._made: set[Link] = set()
        self._making: Making[Link] = Making(lambda link: link.terminate())

    async def connect(self, *server: Any, **named: Any) -> Link:
        """As asyncpg's own."""
        return await self._making.made(self._make(*server, **named))

    async def ended(self) -> None:
        """Close what nobody closed."""
        await self._making.ended()
        for link in self._made:
            if not link.is_closed():
                link.terminate()

    async def _make(self, *server: Any, **named: Any) -> Link:
        link: Link = await asyncpg.connect(*server, **named)
        self._made = {each for each in self._made if not each.is_closed()} | {link}
        return link
