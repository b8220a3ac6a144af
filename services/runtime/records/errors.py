"""What is wrong when the records cannot be had, and which of a driver's errors say so."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.runtime.errors import Unavailable

MAYBE_GONE = (DBAPIError, PoolTimeout, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
# What a database says of a statement, or of a value in it, rather than of itself.
REFUSED = (IntegrityError, DataError, ProgrammingError)
SQLITE_REFUSED = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH})
# Classes of SQLSTATE: not supported, cardinality, data, integrity, syntax and names, program limits.
POSTGRES_REFUSED = frozenset({"0A", "21", "22", "23", "42", "54"})


class RecordsUnavailable(Unavailable):
    """The database is gone, too slow, or has too much to write."""

    reason = "RECORDS_UNAVAILABLE"

    def __init__(self, message: str = "the records cannot be reached", /, **details: str) -> None:
        super().__init__(message, **details)


@contextmanager
def translated() -> Iterator[None]:
    """Raises RecordsUnavailable for every error that says that the database is gone or too slow."""
    try:
        yield
    except MAYBE_GONE as error:
        if _refused(error):
            raise
        raise RecordsUnavailable from error


def _refused(error: BaseException) -> bool:
    """Whether the database is well and refuses the statement: an error of the program, or in what is written."""
    if isinstance(error, REFUSED):
        return True
    told, cause = _told(error)
    if isinstance(cause, asyncpg.PostgresError):
        return str(cause.sqlstate)[:2] in POSTGRES_REFUSED
    return isinstance(cause, asyncpg.DataError) or getattr(told, "sqlite_errorcode", None) in SQLITE_REFUSED


def _told(error: BaseException) -> tuple[object, object]:
    """What the engine was told by its driver, and what that came of."""
    told = error.orig if isinstance(error, DBAPIError) else error
    return told, getattr(told, "__cause__", None) or told


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's code for what is wrong, of RecordsUnavailable too; "" where there is none."""
    _, cause = _told(error.__cause__ if isinstance(error, RecordsUnavailable) and error.__cause__ else error)
    return str(getattr(cause, "sqlstate", None) or "")


def cause_of(error: BaseException) -> str:
    """The driver's own words for why the database is gone, without statements and their parameters."""
    cause = error.__cause__ or error
    told = cause.orig if isinstance(cause, DBAPIError) and cause.orig is not None else cause
    if isinstance(told, SQLAlchemyError):
        return type(told).__name__
    return f"{type(told).__name__}: {told}".strip().rstrip(":")
