"""Usage, as it is asked for. Everything raises RecordsUnavailable where the database is gone."""

from collections.abc import AsyncIterator, Sequence

from sqlalchemy import delete, func, select

from gateway.usage.query import MOST_ROWS, Sum, Wanted, check_group, of_calls, of_days
from gateway.usage.record import Usage, usage_id_at
from gateway.usage.tables import USAGE, USAGE_DAILY
from gateway.usage.writing import SUMS
from services.runtime.records.database import Database


class UsageStore:
    """Reads the rows of calls and the sums of days."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def calls(self, wanted: Wanted, size: int = 100, after: str = "") -> tuple[Sequence[Usage], str]:
        """The newest calls first, `size` of them, beginning after the id `after`; and the id to go on after, empty at
        the end."""
        size = max(1, min(size, MOST_ROWS))
        asked = select(USAGE).where(*of_calls(wanted)).order_by(USAGE.c.id.desc()).limit(size + 1)
        if after:
            asked = asked.where(USAGE.c.id < after)
        async with self._database.read() as connection:
            rows = [Usage(*row) for row in await connection.execute(asked)]
        return rows[:size], rows[size - 1].id if len(rows) > size else ""

    async def each_call(self, wanted: Wanted) -> AsyncIterator[Usage]:
        """Every call, oldest first, read a thousand at a time."""
        last = ""
        while True:
            asked = select(USAGE).where(*of_calls(wanted), USAGE.c.id > last).order_by(USAGE.c.id).limit(MOST_ROWS)
            async with self._database.read() as connection:
                rows = [Usage(*row) for row in await connection.execute(asked)]
            for row in rows:
                yield row
            if len(rows) < MOST_ROWS:
                return
            last = rows[-1].id

    async def sums(
        self, wanted: Wanted, by: tuple[str, ...] = ("day",), size: int = MOST_ROWS, offset: int = 0
    ) -> tuple[Sequence[Sum], bool]:
        """Sums of calls, grouped and sorted by any of day, tenant, project, key, agent and model; and whether there are
        more. Raises InvalidArgument."""
        check_group(by)
        size = max(1, min(size, MOST_ROWS))
        columns = [USAGE_DAILY.c[name] for name in by]
        sums = [func.coalesce(func.sum(USAGE_DAILY.c[name]), 0) for name in SUMS]
        asked = select(*columns, *sums).where(*of_days(wanted)).group_by(*columns).order_by(*columns)
        async with self._database.read() as connection:
            rows = (await connection.execute(asked.limit(size + 1).offset(offset))).all()
        made = [Sum(dict(zip(by, row, strict=False)), *(int(value) for value in row[len(by) :])) for row in rows]
        return made[:size], len(rows) > size

    async def total(self, wanted: Wanted) -> Sum:
        """All of it in one sum."""
        return (await self.sums(wanted, by=()))[0][0]

    async def drop(self, before: float, most: int = 10_000) -> int:
        """Delete the oldest calls settled before a time, `most` at once; the sums of days stay. The number deleted."""
        old = select(USAGE.c.id).where(USAGE.c.id < usage_id_at(before)).order_by(USAGE.c.id).limit(most)
        async with self._database.write() as connection:
            return (await connection.execute(delete(USAGE).where(USAGE.c.id.in_(old)))).rowcount
