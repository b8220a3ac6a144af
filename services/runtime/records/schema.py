"""What a service keeps: its tables, and the migrations that make them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import MetaData, Table

# Constraints' names that migrations on every database can rely on.
NAMES: Mapping[str, str] = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one service. `versions` is the folder of its migrations; `version_table` says which of them a
    database has, so that services can share one."""

    service: str
    metadata: MetaData
    versions: Path
    version_table: str = "alembic_version"


def declare(metadata: MetaData, *tables: Table) -> None:
    """Make tables of the kit a service's own."""
    for table in tables:
        table.to_metadata(metadata)
