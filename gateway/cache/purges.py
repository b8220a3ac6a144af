"""Purges, which every gateway that keeps answers in memory follows by the database."""

import secrets
import time
from collections.abc import Callable

from sqlalchemy import select

from gateway.cache.tables import CACHE_PURGES
from services.runtime.records.changes import bump
from services.runtime.records.database import Database
from services.runtime.records.upsert import upsert

KIND = "cache_purges"


class Purges:
    """`drop` drops what this process has of a tenant in memory. It follows its KIND of Changes by `reload`."""

    def __init__(self, database: Database, drop: Callable[[str], None]) -> None:
        self._database = database
        self._drop = drop
        self._gateway = secrets.token_hex(8)
        self._seen: dict[str, tuple[str, float]] = {}

    async def record(self, tenant: str, database: Database | None = None) -> None:
        """Have the others drop a tenant's answers, in a transaction of `database`. Raises RecordsUnavailable."""
        values = {"gateway": self._gateway, "time": time.time()}
        statement = upsert(CACHE_PURGES).values(tenant=tenant, **values)
        async with (database or self._database).write() as connection:
            await connection.execute(statement.on_conflict_do_update(index_elements=["tenant"], set_=values))
            await bump(connection, KIND)

    async def reload(self) -> None:
        """Drop what others have purged since. Raises RecordsUnavailable."""
        async with self._database.read() as connection:
            rows = [tuple(row) for row in await connection.execute(select(CACHE_PURGES))]
        for tenant, gateway, moment in rows:
            if self._seen.get(tenant) != (gateway, moment):
                self._seen[tenant] = gateway, moment
                if gateway != self._gateway:
                    self._drop(tenant)
