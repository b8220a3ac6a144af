"""What is wrong when the records cannot be had, and which of a driver's errors say so."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.runtime.errors import Unavailable

# The database is there and refuses the statement: an error in the program or in what is written.
REFUSED = (IntegrityError, DataError, ProgrammingError)
GONE = (DBAPIError, PoolTimeout, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


class RecordsUnavailable(Unavailable):
    """The database is gone, too slow, or has too much to write."""

    reason = "RECORDS_UNAVAILABLE"

    def __init__(self, message: str = "the gateway's records cannot be reached", /, **details: str) -> None:
        super().__init__(message, **details)


@contextmanager
def translated() -> Iterator[None]:
    """Raises RecordsUnavailable for every error that says that the database is gone or too slow."""
    try:
        yield
    except REFUSED:
        raise
    except GONE as error:
        raise RecordsUnavailable from error


def cause_of(error: BaseException) -> str:
    """The driver's own words for why the database is gone, without statements and their parameters."""
    cause = error.__cause__ or error
    told = cause.orig if isinstance(cause, DBAPIError) and cause.orig is not None else cause
    if isinstance(told, SQLAlchemyError):
        return type(told).__name__
    return f"{type(told).__name__}: {told}".strip().rstrip(":")
