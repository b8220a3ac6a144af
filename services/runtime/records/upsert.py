"""An insert that may say what a conflict does, which each database has in its own words."""

from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite


def upsert(dialect: str, table: Table) -> Any:
    """The dialect's own insert into the table. `dialect`: "sqlite" or "postgresql"."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def insert_new(table: Table) -> Any:
    """An insert into the table that leaves rows as they are whose keys it has already, for either dialect."""
    return postgresql.insert(table).on_conflict_do_nothing()
