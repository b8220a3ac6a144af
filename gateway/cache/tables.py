"""The tables of the cache's policies and purges. Answers are in memory or in Redis, never here."""

from sqlalchemy import Column, Double, String, Table, Text

from gateway.metadata import METADATA

# `agent` is empty for all of the tenant's agents and models that have none of their own. `spec` is the YAML as given.
CACHE_POLICIES = Table(
    "cache_policies",
    METADATA,
    Column("tenant", String(128), primary_key=True),
    Column("agent", String(128), primary_key=True),
    Column("spec", Text, nullable=False),
    Column("updated", Double, nullable=False),
)

# The last purge of each tenant: by which gateway, which has seen to its own answers, and when.
CACHE_PURGES = Table(
    "cache_purges",
    METADATA,
    Column("tenant", String(128), primary_key=True),
    Column("gateway", String(64), nullable=False),
    Column("time", Double, nullable=False),
)
