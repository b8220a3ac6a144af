"""The time by the database's own clock, so that replicas need not agree about it."""

import time

from sqlalchemy import ColumnElement, Float, cast, extract, func, literal


def now_of(dialect: str) -> ColumnElement[float]:
    """Seconds since the epoch. `dialect`: "sqlite", whose database is on this machine, or "postgresql"."""
    if dialect == "sqlite":
        return literal(time.time())
    return cast(extract("epoch", func.clock_timestamp()), Float(53))
