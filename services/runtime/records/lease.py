"""Leases: rows that their holders renew, so that others notice who is gone.

No two clocks are compared. A renewal changes the row's `beat`; a lease that has not changed for its length, by the
clock of whoever watches it, has expired.
"""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sqlalchemy import Table, bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.records.database import Database
from services.runtime.records.many import Many
from services.runtime.records.tables import LEASES
from services.runtime.records.upsert import insert_new

RESIGNED = -1


class Held(NamedTuple):
    """A lease as it is stored. `beat` grows with every renewal, and is RESIGNED where the holder does not wait to
    expire."""

    holder: str
    beat: int


class LeaseWatch:
    """Since when leases have not been renewed, by this process's clock."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._since: dict[str, tuple[Held, float]] = {}

    def expired(self, leases: Mapping[str, Held]) -> dict[str, Held]:
        """Those that were resigned, or are unchanged since a call `seconds` ago. `leases` are all that there are."""
        now = self._clock()
        self._since = {
            name: known if (known := self._since.get(name)) and known[0] == held else (held, now)
            for name, held in leases.items()
        }
        return {
            name: held
            for name, (held, since) in self._since.items()
            if held.beat == RESIGNED or now - since >= self._seconds
        }


class Leases:
    """The leases of one table, as statements within their caller's transactions."""

    def __init__(self, table: Table = LEASES) -> None:
        self._table = table
        self.fence = Many(select(table.c.beat).where(table.c.name == bindparam("lease")).with_for_update(read=True))
        """Selects nothing where `lease` was revoked; else it cannot be revoked before the transaction ends."""

    async def take(self, connection: AsyncConnection, name: str, holder: str) -> bool:
        """Hold a lease that nobody has; whether it was free."""
        made = insert_new(self._table).values(name=name, holder=holder, beat=0)
        return (await connection.execute(made)).rowcount == 1

    async def renew(self, connection: AsyncConnection, name: str, holder: str) -> bool:
        """Whether it is still the holder's."""
        return await self._beat(connection, name, holder, self._table.c.beat + 1)

    async def resign(self, connection: AsyncConnection, name: str, holder: str) -> None:
        """Have it expire at once, for those who watch it."""
        await self._beat(connection, name, holder, RESIGNED)

    async def succeed(self, connection: AsyncConnection, name: str, holder: str) -> None:
        """Revoke all other leases of a holder that has started anew as `name`."""
        old = (self._table.c.holder == holder) & (self._table.c.name != name)
        await connection.execute(delete(self._table).where(old))

    async def read(self, connection: AsyncConnection, *names: str) -> dict[str, Held]:
        """The leases of these names; all without any."""
        query = select(self._table.c.name, self._table.c.holder, self._table.c.beat)
        if names:
            query = query.where(self._table.c.name.in_(names))
        return {name: Held(holder, beat) for name, holder, beat in await connection.execute(query)}

    async def revoke(self, connection: AsyncConnection, name: str, held: Held) -> bool:
        """End a lease that has expired; False where it was renewed since, or somebody else has ended it."""
        table = self._table
        expired = (table.c.name == name) & (table.c.holder == held.holder) & (table.c.beat == held.beat)
        return (await connection.execute(delete(table).where(expired))).rowcount == 1

    async def _beat(self, connection: AsyncConnection, name: str, holder: str, beat: object) -> bool:
        table = self._table
        own = (table.c.name == name) & (table.c.holder == holder)
        return (await connection.execute(update(table).where(own).values(beat=beat))).rowcount == 1


class Lease:
    """One lease that several processes want, `holder` for this one."""

    def __init__(
        self, database: Database, name: str, holder: str, seconds: float, clock: Callable[[], float] = time.monotonic,
        table: Table = LEASES,
    ) -> None:  # fmt: skip
        self._database = database
        self._name = name
        self._holder = holder
        self._leases = Leases(table)
        self._watch = LeaseWatch(seconds, clock)

    async def hold(self) -> bool:
        """Take or renew it; whether it is this process's now. Raises RecordsUnavailable."""
        async with self._database.write() as connection:
            if await self._leases.renew(connection, self._name, self._holder):
                return True
            leases = await self._leases.read(connection, self._name)
            for name, held in self._watch.expired(leases).items():
                await self._leases.revoke(connection, name, held)
            return await self._leases.take(connection, self._name, self._holder)

    async def leave(self) -> None:
        async with self._database.write() as connection:
            await self._leases.resign(connection, self._name, self._holder)
