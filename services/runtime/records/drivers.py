"""Connections to a file of SQLite, ready for use, and their threads.

The driver has a thread for each connection, which a caller who is cancelled leaves at work, with the file open. So a
connection is made to its end, and closed where nobody waits for it any more; and at the end threads are waited for.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Sequence
from threading import Thread
from weakref import WeakSet

import aiosqlite

from services.runtime.records.making import Making

LOG = logging.getLogger(__name__)
WAL_PAUSE_SECONDS = 0.01
END_SECONDS = 5.0


class Drivers:
    """Makes connections to the file at `path` that begin no transaction by themselves; each statement waits at most
    `timeout` seconds for a lock."""

    def __init__(self, path: str, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        self._drivers: WeakSet[aiosqlite.Connection] = WeakSet()
        self._threads: set[Thread] = set()
        self._making: Making[aiosqlite.Connection] = Making(lambda driver: driver.stop())

    async def reading(self) -> aiosqlite.Connection:
        """One that cannot write."""
        return await self._connect("query_only=ON")

    async def writing(self) -> aiosqlite.Connection:
        return await self._connect()

    async def ended(self) -> None:
        """Stop what nobody closed, and wait until all threads have ended, a while at most."""
        await self._making.ended()
        for driver in tuple(self._drivers):
            driver.stop()
        await asyncio.to_thread(self._join, time.monotonic() + END_SECONDS)
        if left := sum(thread.is_alive() for thread in self._threads):
            LOG.warning("connections to SQLite are still in use", extra={"connections": left})

    async def _connect(self, *more: str) -> aiosqlite.Connection:
        return await self._making.made(self._make(more))

    async def _make(self, more: Sequence[str]) -> aiosqlite.Connection:
        driver = aiosqlite.connect(self._path, isolation_level=None, check_same_thread=False)
        thread = driver._thread
        thread.daemon = True  # a process that ends by an error does not wait for it
        self._threads = {each for each in self._threads if each.is_alive()} | {thread}
        self._drivers.add(driver)
        try:
            await driver
            await self._prepare(driver, more)
        except BaseException:
            driver.stop()
            raise
        return driver

    async def _prepare(self, driver: aiosqlite.Connection, more: Sequence[str]) -> None:
        await _write_ahead(driver, self._timeout)
        # The log is moved into the database by the Checkpointer, not by whoever commits: that waits for the disk.
        waits = f"busy_timeout={int(self._timeout * 1000)}"
        pragmas = (waits, "synchronous=NORMAL", "foreign_keys=ON", "wal_autocheckpoint=0", *more)
        await (await driver.executescript("".join(f"PRAGMA {pragma};" for pragma in pragmas))).close()

    def _join(self, until: float) -> None:
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))


async def _write_ahead(driver: aiosqlite.Connection, seconds: float) -> None:
    """Have SQLite write ahead. Of two processes that do it to a new file at once one finds it locked, and unlike a
    statement the switch does not wait: it is tried again for so many seconds."""
    until = time.monotonic() + seconds
    while True:
        try:
            await driver.execute_fetchall("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
        await asyncio.sleep(WAL_PAUSE_SECONDS)
