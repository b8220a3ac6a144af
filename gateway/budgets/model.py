"""What a budget is, when its periods begin and end, and the alerts that it raises."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum


class Unit(StrEnum):
    TOKENS = "tokens"
    MONEY = "money"


class Scope(StrEnum):
    """Whose use is counted. An agent is one within the tenant."""

    TENANT = "tenant"
    PROJECT = "project"
    KEY = "key"
    AGENT = "agent"


class Period(StrEnum):
    """In UTC."""

    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Cost:
    """Tokens read and written, and their price in nanos of the catalogue's currency."""

    tokens: int = 0
    nanos: int = 0

    def of(self, unit: Unit) -> int:
        return self.tokens if unit is Unit.TOKENS else self.nanos


@dataclass(frozen=True, slots=True)
class Budget:
    """`amount`: tokens or nanos that may be used in a period. `scope_id` is the tenant itself, or the id of the project
    or key, or the name of the agent."""

    id: str
    tenant: str
    scope: Scope
    scope_id: str
    period: Period
    unit: Unit
    amount: int


@dataclass(frozen=True, slots=True)
class BudgetAlert:
    """A share of a budget was reached. `sent`: when the alert was; None until then."""

    budget: Budget
    period: str
    percent: int
    spent: int
    time: float
    sent: float | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        return self.budget.id, self.period, self.percent


def name_of(period: Period, moment: float) -> str:
    """The name of the period that a time is in: 2026-01-31 or 2026-01."""
    day = datetime.fromtimestamp(moment, UTC).date().isoformat()
    return day if period is Period.DAY else day[:7]


def end_of(name: str) -> float:
    """When the period of this name ends, in seconds since the epoch."""
    if len(name) > len("2026-01"):
        return (datetime.fromisoformat(name).replace(tzinfo=UTC) + timedelta(days=1)).timestamp()
    year, month = map(int, name.split("-"))
    return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp()


class Calendar:
    """The periods of now, worked out once a day."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._names: dict[Period, str] = {}
        self._begun = self._over = 0.0

    def name(self, period: Period) -> str:
        now = self._clock()
        if not self._begun <= now < self._over:
            self._names = {one: name_of(one, now) for one in Period}
            self._over = end_of(self._names[Period.DAY])
            self._begun = self._over - timedelta(days=1).total_seconds()
        return self._names[period]

    def seconds_left(self, name: str) -> float:
        """Until the period of this name ends."""
        return max(0.0, end_of(name) - self._clock())
