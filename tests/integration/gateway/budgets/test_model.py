"""Periods, amounts as people read them, and the store."""

from datetime import UTC, datetime

import pytest

from gateway.budgets.errors import BudgetExists, BudgetNotFound, amount
from gateway.budgets.model import Calendar, Period, Scope, Unit, end_of, name_of
from services.runtime.errors import InvalidArgument
from tests.integration.gateway.budgets.replicas import replica


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("period", "now", "name", "end"),
    [
        (Period.DAY, "2026-02-28T23:59:59", "2026-02-28", "2026-03-01T00:00:00"),
        (Period.DAY, "2026-12-31T00:00:00", "2026-12-31", "2027-01-01T00:00:00"),
        (Period.MONTH, "2026-12-31T12:00:00", "2026-12", "2027-01-01T00:00:00"),
        (Period.MONTH, "2026-01-01T00:00:00", "2026-01", "2026-02-01T00:00:00"),
    ],
)
def test_periods_are_those_of_utc(period: Period, now: str, name: str, end: str) -> None:
    assert name_of(period, moment(now)) == name
    assert end_of(name) == moment(end)


def test_the_calendar_turns_its_pages() -> None:
    now = moment("2026-01-31T23:59:59.5")
    calendar = Calendar(lambda: now)
    assert (calendar.name(Period.DAY), calendar.name(Period.MONTH)) == ("2026-01-31", "2026-01")
    assert calendar.seconds_left("2026-01") == 0.5
    now += 0.5
    assert (calendar.name(Period.DAY), calendar.name(Period.MONTH)) == ("2026-02-01", "2026-02")
    now -= 1  # a clock that was set back
    assert calendar.name(Period.DAY) == "2026-01-31"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1_234, Unit.TOKENS, "1,234 tokens"),
        (2_500_000_000, Unit.MONEY, "2.5 in money"),
        (0, Unit.MONEY, "0 in money"),
        (1, Unit.MONEY, "0.000000001 in money"),
    ],
)
def test_amounts_are_for_people(value: int, unit: Unit, text: str) -> None:
    assert amount(value, unit) == text


async def test_budgets_are_made_changed_and_deleted(records_url: str) -> None:
    async with replica(records_url) as one:
        store = one.store
        made = await store.create("acme", Scope.KEY, "key_1", Period.DAY, Unit.MONEY, 5)
        await store.create("other", Scope.TENANT, "", Period.DAY, Unit.MONEY, 5)
        assert await store.get(made.id) == made
        assert await store.all("acme") == [made]
        assert len(await store.all()) == 2
        first = (await store.all(size=1))[0]
        assert first not in await store.all(after=first.id)
        assert (await store.change(made.id, 7)).amount == 7
        with pytest.raises(BudgetExists):
            await store.create("acme", Scope.KEY, "key_1", Period.DAY, Unit.MONEY, 9)
        await store.delete(made.id)
        assert await store.all("acme") == []
        with pytest.raises(BudgetNotFound):
            await store.delete(made.id)
        with pytest.raises(BudgetNotFound):
            await store.change(made.id, 1)
        with pytest.raises(BudgetNotFound):
            await store.get(made.id)


async def test_a_budget_that_makes_no_sense_is_refused(records_url: str) -> None:
    async with replica(records_url) as one:
        for tenant, scope, scope_id, value in (
            ("acme", Scope.KEY, "", 1),
            ("", Scope.TENANT, "", 1),
            ("acme", Scope.TENANT, "other", 1),
            ("acme", Scope.TENANT, "", -1),
        ):
            with pytest.raises(InvalidArgument):
                await one.store.create(tenant, scope, scope_id, Period.DAY, Unit.TOKENS, value)
