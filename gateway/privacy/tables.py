"""The tables of data rights: erasures under way, and what tenants want kept."""

from sqlalchemy import Column, Float, Index, Integer, String, Table, Text

from gateway.metadata import METADATA

# `subject` is empty for a whole tenant, and after the end. `done` and `counts` are JSON: what was erased, and how much.
ERASURES = Table(
    "privacy_erasures",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("state", String(16), nullable=False),
    Column("done", Text, nullable=False),
    Column("counts", Text, nullable=False),
    Column("create_time", Float(53), nullable=False),
    Column("update_time", Float(53), nullable=False),
    Index("ix_privacy_erasures_state", "state", "update_time"),
)

# `content`: what was asked and answered is kept with the audit. `days` is JSON, by kind; what is missing is as the
# settings say.
POLICIES = Table(
    "privacy_policies",
    METADATA,
    Column("tenant", String(128), primary_key=True),
    Column("content", Integer, nullable=False),
    Column("days", Text, nullable=False),
)
