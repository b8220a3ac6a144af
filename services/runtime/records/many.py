"""A statement that is executed again and again: compiled once, and one call into the driver for all its rows."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.expression import Executable


class Many:
    """Its parameters are plain numbers and text, and are named in `rows`."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, Sequence[str]]] = {}

    async def execute(self, connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute it for all rows, in their order; nothing is known of how many it changed."""
        sql, names = self._sql(connection.dialect)
        values = [tuple([row[name] for name in names]) for row in rows]
        if connection.dialect.name != "sqlite":
            await connection.exec_driver_sql(sql, values)
            return
        with _as_the_engine_says(connection, sql):
            await (await _driver(connection)).executemany(sql, values)

    async def fetch(self, connection: AsyncConnection, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of a select."""
        sql, names = self._sql(connection.dialect)
        given = tuple([values[name] for name in names])
        if connection.dialect.name != "sqlite":
            return [tuple(row) for row in await connection.exec_driver_sql(sql, given)]
        with _as_the_engine_says(connection, sql):
            return list(await (await _driver(connection)).execute_fetchall(sql, given))

    def _sql(self, dialect: Dialect) -> tuple[str, Sequence[str]]:
        known = self._compiled.get(dialect.name)
        if known is None:
            compiled: Any = self._statement.compile(dialect=dialect)  # type: ignore[attr-defined]  # a statement
            known = self._compiled[dialect.name] = str(compiled), tuple(compiled.positiontup)
        return known


async def _driver(connection: AsyncConnection) -> Any:
    """The driver has a thread, and each step of a cursor is a way there and back: what is asked of it is one step."""
    raw = await connection.get_raw_connection()
    return raw.driver_connection


@contextmanager
def _as_the_engine_says(connection: AsyncConnection, sql: str) -> Iterator[None]:
    """Raises DBAPIError for the driver's own errors."""
    try:
        yield
    except sqlite3.Error as error:
        dialect = connection.dialect
        raise DBAPIError.instance(sql, None, error, sqlite3.Error, hide_parameters=True, dialect=dialect) from error
