"""The table by which replicas learn that something changed."""

from sqlalchemy import BigInteger, Column, String, Table

from gateway.records.metadata import METADATA

# `number` grows with every change of that kind.
REVISIONS = Table(
    "revisions",
    METADATA,
    Column("kind", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
)
