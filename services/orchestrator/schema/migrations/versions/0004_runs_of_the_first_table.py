"""Move runs from the table of the first versions, each with its events in one value, to where runs are kept

A run that was under way has no events there, and its process is long gone: it ends as interrupted. The old table goes,
so that what is erased of somebody later is erased.
"""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import insert  # SQLite has the same words

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

AT_ONCE = 100
UNDER_WAY, FAILED = (1, 5), 3
STOP, ERROR, UNAVAILABLE = 1, 5, 14
WHY = "it was under way when its process ended, before an upgrade"

OLD = sa.table(
    "runs",
    *map(
        sa.column,
        ("id", "tenant", "replica", "model", "collection", "state", "finish_reason", "last_sequence", "create_time",
         "end_time", "prompt_tokens", "completion_tokens", "events"),
    ),
)  # fmt: skip
RUNS = sa.table(
    "orchestrator_runs",
    *map(
        sa.column,
        ("id", "tenant", "owner", "replica", "model", "agent_version", "collection", "session_id", "state",
         "finish_reason", "last_sequence", "create_time", "end_time", "prompt_tokens", "completion_tokens",
         "cached_tokens", "cost_nanos", "pending", "detached", "seconds", "subject"),
    ),
)  # fmt: skip
EVENTS = sa.table("orchestrator_events", *map(sa.column, ("run_id", "first", "last", "data")))


def upgrade() -> None:
    connection = op.get_bind()
    _widen_cost(connection)
    if _is_ours(connection):
        for rows in _pages(connection):
            _move(connection, rows)
        _drop(connection)


def _widen_cost(connection: sa.Connection) -> None:
    """PostgreSQL's tables of before costs had 64 bits."""
    columns = {column["name"]: column["type"] for column in sa.inspect(connection).get_columns(RUNS.name)}
    cost = columns["cost_nanos"]
    if connection.dialect.name == "postgresql" and not isinstance(cost, sa.BigInteger):
        op.alter_column(RUNS.name, "cost_nanos", type_=sa.BigInteger(), existing_nullable=False)


def _is_ours(connection: sa.Connection) -> bool:
    """In a database that is shared, a table of that name may be anybody's."""
    inspector = sa.inspect(connection)
    if not inspector.has_table(OLD.name):
        return False
    return {column["name"] for column in inspector.get_columns(OLD.name)} == {column.name for column in OLD.c}


def _pages(connection: sa.Connection) -> Iterator[Sequence[sa.RowMapping]]:
    last = ""
    while rows := connection.execute(
        sa.select(OLD).where(OLD.c.id > last).order_by(OLD.c.id).limit(AT_ONCE)
    ).mappings().all():  # fmt: skip
        yield rows
        last = rows[-1]["id"]


def _move(connection: sa.Connection, rows: Sequence[sa.RowMapping]) -> None:
    runs, events = zip(*map(_moved, rows), strict=True)
    connection.execute(insert(RUNS).on_conflict_do_nothing(), runs)
    connection.execute(insert(EVENTS).on_conflict_do_nothing(), events)


def _moved(old: sa.RowMapping) -> tuple[dict[str, Any], dict[str, Any]]:
    """The row of a run, and that of its events."""
    row = {column.name: old[column.name] for column in OLD.c if column.name != "events"}
    if row["state"] in UNDER_WAY:
        row |= {"state": FAILED, "finish_reason": ERROR, "end_time": time.time()}
    events = _events(old) or _begun_and_over(row)
    begun = events[0][3]
    usage: dict[str, Any] = next((fields for _, _, kind, fields in reversed(events) if kind == "UsageReported"), {})
    row |= {"agent_version": begun.get("agent_version", 0), "session_id": begun.get("session_id", "")}
    row |= {name: usage.get(name, 0) for name in ("cached_tokens", "cost_nanos")}
    row |= {"owner": row["replica"], "subject": "", "last_sequence": len(events)}
    row |= {"pending": "[]", "detached": 0, "seconds": 0.0}
    return row, {"run_id": row["id"], "first": 1, "last": len(events), "data": json.dumps(events).encode()}


def _events(old: sa.RowMapping) -> list[Any]:
    """As they were written, [sequence, time, kind, fields] each; none where they are not whole."""
    try:
        events = list(json.loads(old["events"] or b"[]"))
        whole = [number for number, _, _, _ in events] == list(range(1, len(events) + 1))
        whole = whole and all(isinstance(fields, dict) for _, _, _, fields in events)
    except (ValueError, TypeError):
        return []
    return events if whole else []


def _begun_and_over(row: dict[str, Any]) -> list[Any]:
    """All that is known of a run without events."""
    reason = row["finish_reason"] or STOP
    end: dict[str, Any] = {"reason": reason}
    if reason == ERROR:
        end |= {"error_reason": "RUN_INTERRUPTED", "error_message": WHY, "error_code": UNAVAILABLE}
    begun = {"model": row["model"], "collection": row["collection"]}
    ended = row["end_time"] or row["create_time"]
    return [[1, row["create_time"], "Started", begun], [2, ended, "Finished", end]]


def _drop(connection: sa.Connection) -> None:
    """On SQLite with zeros over what it held."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=ON")
    op.drop_table(OLD.name)
