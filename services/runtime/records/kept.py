"""One connection for one user at a time, kept open between them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class KeptConnection:
    """The connection that writes to SQLite: taking it from a pool each time costs more than a commit, and writers that
    queue up here need not ask the file for its lock again and again."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._connection: AsyncConnection | None = None
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[AsyncConnection]:
        """The connection, without a transaction. After an error it goes back to its pool, which undoes what is left:
        a user who leaves while the driver's thread begins a transaction knows nothing of it."""
        async with self._turn:
            connection, self._connection = self._connection, None
            connection = connection or await self._engine.connect()
            try:
                yield connection
            except BaseException:
                await asyncio.shield(asyncio.ensure_future(connection.close()))
                raise
            self._connection = connection

    async def aclose(self) -> None:
        async with self._turn:
            if self._connection is not None:
                await self._connection.close()
                self._connection = None
