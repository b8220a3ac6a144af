"""Rows of usage, their sums, and both as CSV."""

import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from gateway.schema.schema import SCHEMA
from gateway.usage.metrics import OTHER, TenantMetrics
from gateway.usage.record import Spent, Usage, new_usage_id, usage_of
from gateway.usage.store import UsageFilter, UsageStore, calls_csv
from gateway.usage.tables import USAGE
from gateway.usage.writing import COLUMNS, SUMS, write_usage
from services.runtime.errors import InvalidArgument
from services.runtime.identity import Identity
from services.runtime.records.database import Database

START = datetime(2026, 1, 30, 12, tzinfo=UTC).timestamp()
DAY = 86_400.0


def row(number: int, tenant: str = "acme", agent: str = "rag", key: str = "key_1") -> Usage:
    who = Identity(tenant, "ann", key=key, project="web")
    spent = Spent(agent, 1, "llm", "run_1", 10 + number, number, 1, 1_000_000_007 * number, "stop", 0.5)
    return usage_of(who, spent, START + number * DAY / 4)


@asynccontextmanager
async def store_with(url: str, rows: list[Usage]) -> AsyncIterator[UsageStore]:
    database = Database(url, SCHEMA)
    await database.open()
    for first in range(0, len(rows), 700):
        async with database.write() as connection:
            await write_usage(connection, rows[first : first + 700])
    yield UsageStore(database)
    await database.aclose()


def test_a_row_is_read_by_position() -> None:
    assert tuple(Usage.__dataclass_fields__) == COLUMNS == tuple(USAGE.columns.keys())


def test_ids_sort_by_time() -> None:
    times = [1.0, 2.0, 1e9, 1e9 + 1e-6, 2e9]
    ids = [new_usage_id(moment) for moment in times]
    assert ids == sorted(ids)


def test_no_name_keeps_a_call_from_being_settled() -> None:
    made = usage_of(Identity("acme", "s" * 500), Spent("a\0" * 300))
    assert (len(made.subject), made.agent) == (192, "a" * 128)


async def test_the_sum_of_the_rows_is_that_of_the_days(records_url: str) -> None:
    rows = [row(n, "acme" if n % 3 else "other", f"agent-{n % 4}", f"key_{n % 5}") for n in range(200)]
    async with store_with(records_url, rows) as store:
        calls = [one async for one in store.each_call(UsageFilter())]
        assert calls == rows
        total = await store.total(UsageFilter())
        assert total.calls == len(rows)
        for name in SUMS[1:]:
            assert getattr(total, name) == sum(getattr(one, name) for one in rows)
        for by in (("day",), ("tenant", "key"), ("agent", "model"), ("day", "tenant", "project", "key", "agent")):
            sums, more = await store.sums(UsageFilter(), by)
            assert not more
            assert sum(one.cost_nanos for one in sums) == total.cost_nanos
            assert [tuple(one.group.values()) for one in sums] == sorted(tuple(one.group.values()) for one in sums)


async def test_what_is_asked_for(records_url: str) -> None:
    rows = [row(n, "acme" if n % 3 else "other", f"agent-{n % 4}") for n in range(40)]
    async with store_with(records_url, rows) as store:
        theirs = UsageFilter(tenant="acme", agent="agent-1")
        assert (await store.total(theirs)).calls == sum(one.tenant == "acme" and one.agent == "agent-1" for one in rows)
        days = UsageFilter(since=START - DAY / 2 + DAY, until=START - DAY / 2 + 3 * DAY)  # two whole days
        found, _ = await store.calls(days)
        assert {one.day for one in found} == {"2026-01-31", "2026-02-01"}
        assert (await store.total(days)).calls == len(found) == 8
        assert (await store.total(UsageFilter(tenant="nobody"))).calls == 0
        with pytest.raises(InvalidArgument):
            await store.total(UsageFilter(subject="ann"))
        with pytest.raises(InvalidArgument):
            await store.sums(UsageFilter(), ("subject",))


async def test_pages_hold_each_call_once(records_url: str) -> None:
    rows = [row(n) for n in range(25)]
    async with store_with(records_url, rows) as store:
        after = ""
        seen: list[Usage] = []
        while True:
            page, after = await store.calls(UsageFilter(), 10, after)
            seen += page
            if not after:
                break
        assert seen == rows[::-1]


async def test_csv_has_every_call(records_url: str) -> None:
    rows = [row(n) for n in range(1_203)]
    async with store_with(records_url, rows) as store:
        pieces = [piece async for piece in calls_csv(store, UsageFilter())]
        assert len(pieces) > 2
        read = list(csv.DictReader(io.StringIO("".join(pieces))))
        assert [one["id"] for one in read] == [one.id for one in rows]
        assert sum(int(one["cost_nanos"]) for one in read) == sum(one.cost_nanos for one in rows)


async def test_a_name_is_no_formula(records_url: str) -> None:
    async with store_with(records_url, [row(1, agent='=HYPERLINK("x")')]) as store:
        text = "".join([piece async for piece in calls_csv(store, UsageFilter())])
        assert next(csv.DictReader(io.StringIO(text)))["agent"] == '\'=HYPERLINK("x")'


def test_the_tenants_with_a_label_are_few() -> None:
    metrics = TenantMetrics(most=2)
    assert [metrics.label(tenant) for tenant in ("a", "b", "a", "c", "d", "b")] == ["a", "b", "a", OTHER, OTHER, "b"]
