"""Usage and rate limits: figures stay, names go."""

from collections.abc import AsyncGenerator

from sqlalchemy import ColumnElement, delete, select, update

from gateway.limits.tables import LIMIT_RULES
from gateway.privacy.holders.holder import Counts, Whose
from gateway.usage.record import usage_id_at
from gateway.usage.tables import USAGE, USAGE_OPEN
from services.runtime.records.changes import bump
from services.runtime.records.database import Database
from services.runtime.records.secure_delete import erasing

AT_ONCE = 2_000
ERASED = "erased"


class BookData:
    """Of a person, the rows of usage stay without the name; of a tenant, they go, and the sums of the days stay."""

    name = "books"

    def __init__(self, database: Database) -> None:
        self._database = database

    async def export(self, whose: Whose) -> AsyncGenerator[dict[str, object], None]:
        after = ""
        while True:
            query = select(USAGE).where(_usage(whose), USAGE.c.id > after).order_by(USAGE.c.id).limit(AT_ONCE)
            async with self._database.read() as connection:
                rows = (await connection.execute(query)).mappings().all()
            for row in rows:
                yield {"kind": "usage", **{str(name): value for name, value in row.items()}}
            if len(rows) < AT_ONCE:
                return
            after = rows[-1]["id"]

    async def erase(self, whose: Whose) -> AsyncGenerator[Counts, None]:
        rows = 0
        while some := await self._part(whose):
            rows += some
            yield {"usage": rows}
        await self._open(whose)
        rules = LIMIT_RULES.c.tenant == whose.tenant
        if whose.subject:
            rules &= LIMIT_RULES.c.caller == whose.subject
        async with erasing(self._database) as connection:
            gone = (await connection.execute(delete(LIMIT_RULES).where(rules))).rowcount
            if gone:
                await bump(connection, "limits")
        yield {"usage": rows, "rate_limits": gone}

    async def expire(self, tenant: str, kind: str, before: float) -> int:
        """See Ages. The sums of days stay."""
        if kind != "usage":
            return 0
        erased = 0
        while some := await self._delete((USAGE.c.tenant == tenant) & (USAGE.c.id < usage_id_at(before))):
            erased += some
        return erased

    async def _open(self, whose: Whose) -> None:
        """Calls under way: the same for what would be left of them."""
        mine = USAGE_OPEN.c.tenant == whose.tenant
        nameless = update(USAGE_OPEN).where(mine, USAGE_OPEN.c.subject == whose.subject)
        gone = nameless.values(subject=ERASED, key=ERASED) if whose.subject else delete(USAGE_OPEN).where(mine)
        async with erasing(self._database) as connection:
            await connection.execute(gone)

    async def _part(self, whose: Whose) -> int:
        if not whose.subject:
            return await self._delete(_usage(whose))
        some = select(USAGE.c.id).where(_usage(whose)).limit(AT_ONCE)
        async with erasing(self._database) as connection:
            nameless = update(USAGE).where(USAGE.c.id.in_(some)).values(subject=ERASED, key=ERASED)
            return (await connection.execute(nameless)).rowcount

    async def _delete(self, which: ColumnElement[bool]) -> int:
        some = select(USAGE.c.id).where(which).limit(AT_ONCE)
        async with erasing(self._database) as connection:
            return (await connection.execute(delete(USAGE).where(USAGE.c.id.in_(some)))).rowcount


def _usage(whose: Whose) -> ColumnElement[bool]:
    mine = USAGE.c.tenant == whose.tenant
    return mine & (USAGE.c.subject == whose.subject) if whose.subject else mine
