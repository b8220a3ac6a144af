"""Usage as CSV, made while it is read."""

import csv
import io
from collections.abc import AsyncIterator, Iterable

from gateway.usage.query import Wanted
from gateway.usage.store import UsageStore
from gateway.usage.writing import COLUMNS

ROWS_AT_ONCE = 500
# What a spreadsheet would take for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


async def calls_csv(store: UsageStore, wanted: Wanted) -> AsyncIterator[str]:
    """Every call, oldest first, under a line of names; in pieces of whole lines."""
    yield lines([COLUMNS])
    waiting: list[list[object]] = []
    async for row in store.each_call(wanted):
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
