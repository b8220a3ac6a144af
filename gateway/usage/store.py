"""Usage, as it is queried and exported. Everything raises RecordsUnavailable where the database is gone."""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select

from gateway.usage.record import Usage, day_of, usage_id_at
from gateway.usage.tables import USAGE, USAGE_DAILY
from gateway.usage.writing import COLUMNS, GROUP, SUMS
from services.runtime.errors import InvalidArgument
from services.runtime.records.database import Database

NAMES = ("tenant", "project", "key", "agent", "model")
MOST_ROWS = 1000
ROWS_AT_ONCE = 500
# What a spreadsheet would take for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Usage of those who are named; an empty name asks for all. `since` and `until` (not included) are seconds since
    the epoch; sums are of whole days in UTC that have any of them."""

    tenant: str = ""
    project: str = ""
    key: str = ""
    agent: str = ""
    model: str = ""
    subject: str = ""
    since: float = 0.0
    until: float = float("inf")


@dataclass(frozen=True, slots=True)
class UsageSum:
    """`group`: the names that were grouped by, and their values."""

    group: dict[str, str]
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost_nanos: int


class UsageStore:
    """Reads the rows of calls and the sums of days."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def calls(self, filter_: UsageFilter, size: int = 100, after: str = "") -> tuple[Sequence[Usage], str]:
        """The newest calls first, `size` of them, beginning after the id `after`; and the id to go on after, empty at
        the end."""
        size = max(1, min(size, MOST_ROWS))
        query = select(USAGE).where(*_of_calls(filter_)).order_by(USAGE.c.id.desc()).limit(size + 1)
        if after:
            query = query.where(USAGE.c.id < after)
        async with self._database.read() as connection:
            rows = [Usage(*row) for row in await connection.execute(query)]
        return rows[:size], rows[size - 1].id if len(rows) > size else ""

    async def each_call(self, filter_: UsageFilter) -> AsyncIterator[Usage]:
        """Every call, oldest first, read a thousand at a time."""
        last = ""
        while True:
            query = select(USAGE).where(*_of_calls(filter_), USAGE.c.id > last).order_by(USAGE.c.id).limit(MOST_ROWS)
            async with self._database.read() as connection:
                rows = [Usage(*row) for row in await connection.execute(query)]
            for row in rows:
                yield row
            if len(rows) < MOST_ROWS:
                return
            last = rows[-1].id

    async def sums(
        self, filter_: UsageFilter, by: tuple[str, ...] = ("day",), size: int = MOST_ROWS, offset: int = 0
    ) -> tuple[Sequence[UsageSum], bool]:
        """Sums of calls, grouped and sorted by any of day, tenant, project, key, agent and model; and whether there are
        more. Raises InvalidArgument."""
        for name in by:
            if name not in GROUP:
                raise InvalidArgument(f"usage is grouped by {', '.join(GROUP)}, not by {name!r}", field="group_by")
        size = max(1, min(size, MOST_ROWS))
        columns = [USAGE_DAILY.c[name] for name in by]
        sums = [func.coalesce(func.sum(USAGE_DAILY.c[name]), 0) for name in SUMS]
        query = select(*columns, *sums).where(*_of_days(filter_)).group_by(*columns).order_by(*columns)
        async with self._database.read() as connection:
            rows = (await connection.execute(query.limit(size + 1).offset(offset))).all()
        grouped = [
            UsageSum(dict(zip(by, row, strict=False)), *(int(value) for value in row[len(by) :])) for row in rows
        ]
        return grouped[:size], len(rows) > size

    async def total(self, filter_: UsageFilter) -> UsageSum:
        """All of it in one sum."""
        return (await self.sums(filter_, by=()))[0][0]


def _of_calls(filter_: UsageFilter) -> list[ColumnElement[bool]]:
    """Conditions on the rows of calls."""
    conditions = [USAGE.c[name] == getattr(filter_, name) for name in (*NAMES, "subject") if getattr(filter_, name)]
    if filter_.since > 0:
        conditions.append(USAGE.c.id >= usage_id_at(filter_.since))
    if filter_.until != float("inf"):
        conditions.append(USAGE.c.id < usage_id_at(filter_.until))
    return conditions


def _of_days(filter_: UsageFilter) -> list[ColumnElement[bool]]:
    """Conditions on the rows of days. Raises InvalidArgument for what the sums do not tell apart."""
    if filter_.subject:
        raise InvalidArgument("sums are not kept for each subject: list its calls", field="subject")
    conditions = [USAGE_DAILY.c[name] == getattr(filter_, name) for name in NAMES if getattr(filter_, name)]
    if filter_.since > 0:
        conditions.append(USAGE_DAILY.c.day >= day_of(filter_.since))
    if filter_.until != float("inf"):
        conditions.append(USAGE_DAILY.c.day <= day_of(max(0.0, filter_.until - 1e-3)))
    return conditions


async def calls_csv(store: UsageStore, filter_: UsageFilter) -> AsyncIterator[str]:
    """Every call, oldest first, under a line of names; in pieces of whole lines."""
    yield lines([COLUMNS])
    waiting: list[list[object]] = []
    async for row in store.each_call(filter_):
        waiting.append([getattr(row, name) for name in COLUMNS])
        if len(waiting) == ROWS_AT_ONCE:
            yield lines(waiting)
            waiting = []
    if waiting:
        yield lines(waiting)


def lines(rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV. Names come from callers, so that none may be read as a formula."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_plain(value) for value in row] for row in rows)
    return text.getvalue()


def _plain(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
