"""The tables of usage: a row for each settled call, and sums for each day, written in the same transaction."""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, Table

from gateway.metadata import METADATA

# Ids grow with time. `agent` is the name that the caller asked for, `agent_version` 0 for a bare model; `model` is the
# one that wrote, where that is known.
USAGE = Table(
    "usage",
    METADATA,
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
    Index(None, "tenant", "id"),
)

# `day` is in UTC: 2026-01-31.
USAGE_DAILY = Table(
    "usage_daily",
    METADATA,
    Column("day", String(10), primary_key=True),
    Column("tenant", String(128), primary_key=True),
    Column("project", String(128), primary_key=True),
    Column("key", String(192), primary_key=True),
    Column("agent", String(128), primary_key=True),
    Column("model", String(128), primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("cost_nanos", BigInteger, nullable=False),
    Index(None, "tenant", "day"),
)
