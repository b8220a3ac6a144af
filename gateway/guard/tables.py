"""The table of the guards' policies."""

from sqlalchemy import Column, Double, String, Table, Text

from gateway.metadata import METADATA

# `agent` is empty for all of the tenant's that have none of their own. `spec` is the YAML as it was given.
GUARD_POLICIES = Table(
    "guard_policies",
    METADATA,
    Column("tenant", String(128), primary_key=True),
    Column("agent", String(128), primary_key=True),
    Column("spec", Text, nullable=False),
    Column("updated", Double, nullable=False),
)
