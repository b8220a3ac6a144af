"""What of the usage is asked for."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement

from gateway.usage.record import day_of, usage_id_at
from gateway.usage.tables import USAGE, USAGE_DAILY
from gateway.usage.writing import GROUP
from services.runtime.errors import InvalidArgument

NAMES = ("tenant", "project", "key", "agent", "model")
MOST_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Wanted:
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
class Sum:
    """`group`: the names that were grouped by, and their values."""

    group: dict[str, str]
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost_nanos: int


def of_calls(wanted: Wanted) -> list[ColumnElement[bool]]:
    """Conditions on the rows of calls."""
    found = [USAGE.c[name] == getattr(wanted, name) for name in (*NAMES, "subject") if getattr(wanted, name)]
    if wanted.since > 0:
        found.append(USAGE.c.id >= usage_id_at(wanted.since))
    if wanted.until != float("inf"):
        found.append(USAGE.c.id < usage_id_at(wanted.until))
    return found


def of_days(wanted: Wanted) -> list[ColumnElement[bool]]:
    """Conditions on the rows of days. Raises InvalidArgument for what the sums do not tell apart."""
    if wanted.subject:
        raise InvalidArgument("sums are not kept for each subject: list its calls", field="subject")
    found = [USAGE_DAILY.c[name] == getattr(wanted, name) for name in NAMES if getattr(wanted, name)]
    if wanted.since > 0:
        found.append(USAGE_DAILY.c.day >= day_of(wanted.since))
    if wanted.until != float("inf"):
        found.append(USAGE_DAILY.c.day <= day_of(max(0.0, wanted.until - 1e-3)))
    return found


def check_group(by: tuple[str, ...]) -> None:
    """Raises InvalidArgument for what cannot be grouped by."""
    for name in by:
        if name not in GROUP:
            raise InvalidArgument(f"usage is grouped by {', '.join(GROUP)}, not by {name!r}", field="group_by")
