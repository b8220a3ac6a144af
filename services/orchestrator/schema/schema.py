"""The orchestrator's tables, and the migrations that make them."""

from pathlib import Path

from services.orchestrator.schema.tables import METADATA
from services.runtime.records.schema import Schema

# A version table of its own: the gateway's tables may be in the same database.
SCHEMA = Schema(
    "orchestrator", METADATA, Path(__file__).parent / "migrations" / "versions", "orchestrator_alembic_version"
)
