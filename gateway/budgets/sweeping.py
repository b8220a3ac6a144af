"""What processes that are gone had: their grants are taken back, and their calls become usage."""

from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.budgets.ledger import Ledger
from gateway.usage.record import Usage
from gateway.usage.writing import AT_ONCE, sweep_open
from services.runtime.records.database import Database

# Told in the transaction that makes usage of calls.
Abandoned = Callable[[AsyncConnection, Sequence[Usage]], Awaitable[None]]


class Sweeper:
    """`shard`: see write_usage."""

    def __init__(self, database: Database, ledger: Ledger, shard: int, abandoned: Abandoned | None) -> None:
        self._database = database
        self._ledger = ledger
        self._shard = shard
        self._abandoned = abandoned

    async def sweep(self) -> None:
        """Raises RecordsUnavailable."""
        await self._ledger.sweep()
        while await self._sweep_calls() == AT_ONCE:
            pass

    async def _sweep_calls(self) -> int:
        async with self._database.write() as connection:
            rows = await sweep_open(connection, self._shard)
            if rows and self._abandoned is not None:
                await self._abandoned(connection, rows)
            return len(rows)
