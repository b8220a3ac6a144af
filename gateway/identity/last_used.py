"""When keys were last used, written now and then rather than with every call."""

import asyncio
import contextlib
import logging
import time

from sqlalchemy import bindparam, update

from gateway.identity.tables import API_KEYS
from services.runtime.records.database import Database
from services.runtime.records.errors import RecordsUnavailable

log = logging.getLogger(__name__)
EACH_SECONDS = 60.0
FLUSH_SECONDS = 10.0
MOST = 50_000


class LastUsed:
    """Notes uses, at most one of a key in `each` seconds, and writes them together every `flush` seconds. Notes are
    dropped where too many wait: this is for people to see which keys are idle."""

    def __init__(self, database: Database, each: float = EACH_SECONDS, flush: float = FLUSH_SECONDS) -> None:
        self._database = database
        self._each = each
        self._flush = flush
        self._noted: dict[str, float] = {}
        self._waiting: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    def note(self, key: str) -> None:
        now = time.time()
        if now - self._noted.get(key, 0.0) < self._each or len(self._waiting) >= MOST:
            return
        if len(self._noted) >= MOST:
            self._noted.clear()
        self._noted[key] = self._waiting[key] = now

    async def open(self) -> None:
        self._task = asyncio.create_task(self._run(), name="keys-last-used")

    async def aclose(self) -> None:
        """Write what there is."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.write()

    async def write(self) -> None:
        """Write what was noted; what cannot be written now is dropped."""
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        change = update(API_KEYS).where(API_KEYS.c.id == bindparam("key")).values(last_used=bindparam("at"))
        rows = [{"key": key, "at": at} for key, at in sorted(waiting.items())]
        try:
            async with self._database.write() as connection:
                await connection.execute(change, rows)
        except RecordsUnavailable:
            log.warning("when keys were last used was not written", extra={"keys": len(rows)})

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._flush)
            await self.write()
