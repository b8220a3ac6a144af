"""The table of rate limits."""

from sqlalchemy import BigInteger, Column, Float, String, Table, UniqueConstraint

from gateway.metadata import METADATA

# `caller` is the id of a key, or the subject of a caller without one; "" and "*" as in rule.py. 0 is no limit.
LIMIT_RULES = Table(
    "limit_rules",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("caller", String(192), nullable=False),
    Column("model", String(128), nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("streams", BigInteger, nullable=False),
    Column("create_time", Float(53), nullable=False),
    UniqueConstraint("tenant", "caller", "model"),
)
