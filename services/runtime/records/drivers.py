"""Connections to one file of SQLite, whose threads can be waited for.

The driver has a thread for each connection. A caller who is cancelled while one connects or executes leaves that thread
behind, which then finds its event loop closed, if nobody waits for it.
"""

import asyncio
import logging
import time
from threading import Thread

import aiosqlite

LOG = logging.getLogger(__name__)
END_SECONDS = 5.0


class Drivers:
    """Makes connections that begin no transaction by themselves, and knows their threads."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._threads: set[Thread] = set()

    async def connect(self) -> aiosqlite.Connection:
        driver = aiosqlite.connect(self._path, isolation_level=None, check_same_thread=False)
        thread = driver._thread
        thread.daemon = True  # a process that ends by an error does not wait for it
        self._threads = {each for each in self._threads if each.is_alive()} | {thread}
        return await driver

    async def ended(self) -> None:
        """Wait until all threads have ended, a while at most; after the connections are closed."""
        await asyncio.to_thread(self._join, time.monotonic() + END_SECONDS)
        if left := sum(thread.is_alive() for thread in self._threads):
            LOG.warning("connections to SQLite are still in use", extra={"connections": left})

    def _join(self, until: float) -> None:
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
