"""One replica at a time: a row that is renewed while its holder lives."""

import time

from sqlalchemy import delete

from services.runtime.records.database import Database
from services.runtime.records.tables import LEASES
from services.runtime.records.upsert import upsert


class Lease:
    """`holder` is this process among all. Replicas' clocks may differ by less than `seconds`."""

    def __init__(self, database: Database, name: str, holder: str, seconds: float) -> None:
        self._database = database
        self._name = name
        self._holder = holder
        self._seconds = seconds

    async def hold(self) -> bool:
        """Take or renew it; whether it is this process's now. Raises RecordsUnavailable."""
        now = time.time()
        values = {"holder": self._holder, "expires": now + self._seconds}
        async with self._database.write() as connection:
            made = upsert(LEASES).values(name=self._name, **values)
            taken = made.on_conflict_do_update(
                index_elements=["name"],
                set_=values,
                where=(LEASES.c.holder == self._holder) | (LEASES.c.expires < now),
            )
            return (await connection.execute(taken)).rowcount == 1

    async def leave(self) -> None:
        mine = (LEASES.c.name == self._name) & (LEASES.c.holder == self._holder)
        async with self._database.write() as connection:
            await connection.execute(delete(LEASES).where(mine))
