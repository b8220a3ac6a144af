"""An insert that may say what a conflict does: SQLite has PostgreSQL's words for it, and is given its statements."""

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql


def upsert(table: Table) -> postgresql.Insert:
    """An insert into the table, for either dialect."""
    return postgresql.insert(table)


def insert_new(table: Table) -> postgresql.Insert:
    """An insert into the table that leaves rows as they are whose keys it has already, for either dialect."""
    return postgresql.insert(table).on_conflict_do_nothing()
