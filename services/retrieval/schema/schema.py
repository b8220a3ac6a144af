"""Retrieval's tables, and the migrations that make them."""

from pathlib import Path

from services.retrieval.schema.tables import METADATA
from services.runtime.records.schema import Schema

# A version table of its own: the tables of other services may be in the same database.
SCHEMA = Schema("retrieval", METADATA, Path(__file__).parent / "migrations" / "versions", "retrieval_alembic_version")
