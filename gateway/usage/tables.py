"""The tables of usage: a row for each settled call, and sums for each day, written in the same transaction."""

from typing import Any

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, Table

from gateway.metadata import METADATA


# Ids grow with time. `agent` is the name that the caller asked for, `agent_version` 0 for a bare model; `model` is the
# one that wrote, where that is known.
def _call_columns() -> list[Column[Any]]:
    return [
        Column("id", String(64), primary_key=True),
        Column("time", Float(53), nullable=False),
        Column("tenant", String(128), nullable=False),
        Column("project", String(128), nullable=False),
        Column("key", String(192), nullable=False),
        Column("subject", String(192), nullable=False),
        Column("agent", String(128), nullable=False),
        Column("agent_version", Integer, nullable=False),
        Column("model", String(128), nullable=False),
        Column("run_id", String(192), nullable=False),
        Column("prompt_tokens", BigInteger, nullable=False),
        Column("completion_tokens", BigInteger, nullable=False),
        Column("cached_tokens", BigInteger, nullable=False),
        Column("cost_nanos", BigInteger, nullable=False),
        Column("finish_reason", String(64), nullable=False),
        Column("seconds", Float(53), nullable=False),
    ]


USAGE = Table("usage", METADATA, *_call_columns(), Index(None, "tenant", "id"))

# Calls under way, as their gateway last said. One that is not said again before it `expires` becomes a row of USAGE.
USAGE_OPEN = Table(
    "usage_open",
    METADATA,
    *_call_columns(),
    Column("expires", Float(53), nullable=False),
    Index(None, "expires"),
)

# `day` is in UTC: 2026-01-31. What there is of a day is the sum over `shard`: each gateway adds to rows of its own, so
# that none waits for another.
USAGE_DAILY = Table(
    "usage_daily",
    METADATA,
    Column("day", String(10), primary_key=True),
    Column("tenant", String(128), primary_key=True),
    Column("project", String(128), primary_key=True),
    Column("key", String(192), primary_key=True),
    Column("agent", String(128), primary_key=True),
    Column("model", String(128), primary_key=True),
    Column("shard", Integer, primary_key=True, autoincrement=False, server_default="0"),
    Column("calls", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("cost_nanos", BigInteger, nullable=False),
    Index(None, "tenant", "day"),
)
