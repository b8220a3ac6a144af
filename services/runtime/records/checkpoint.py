"""SQLite's write-ahead log, moved into the database apart from commits, which then never wait for the disk."""

import asyncio
import contextlib
import logging
import sqlite3

import aiosqlite

from services.runtime.records.drivers import Drivers
from services.runtime.records.errors import RecordsUnavailable

LOG = logging.getLogger(__name__)
# Of the log: 64 MiB. Beyond it writers do wait, until the log is empty again.
LOG_PAGES = 16_384


class Checkpointer:
    """Moves the log of one SQLite file every `seconds`."""

    def __init__(self, drivers: Drivers, seconds: float = 1.0, log_pages: int = LOG_PAGES) -> None:
        self._drivers = drivers
        self._seconds = seconds
        self._log_pages = log_pages
        self._connection: aiosqlite.Connection | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Raises RecordsUnavailable."""
        try:
            self._connection = await self._drivers.writing()
        except sqlite3.Error as error:
            raise RecordsUnavailable from error
        self._task = asyncio.create_task(self._run(self._connection), name="records-checkpoint")

    async def aclose(self) -> None:
        try:
            if self._task is not None:
                self._task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._task
        finally:
            if self._connection is not None:
                await self._connection.close()

    async def checkpoint(self, connection: aiosqlite.Connection) -> int:
        """Move what can be moved without keeping anybody waiting; the pages that the log had."""
        _, pages, _ = await self._pragma(connection, "PASSIVE")
        if pages > self._log_pages:
            await self._pragma(connection, "TRUNCATE")
        return pages

    async def _run(self, connection: aiosqlite.Connection) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.checkpoint(connection)
            except (OSError, sqlite3.Error) as error:
                LOG.warning("SQLite's log cannot be moved", extra={"error": str(error)})

    @staticmethod
    async def _pragma(connection: aiosqlite.Connection, mode: str) -> tuple[int, int, int]:
        async with connection.execute(f"PRAGMA wal_checkpoint({mode})") as cursor:
            rows = await cursor.fetchall()
        return next((busy, pages, moved) for busy, pages, moved in rows)
