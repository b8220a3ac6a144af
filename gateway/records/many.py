"""A statement that is executed for many rows: compiled once, and one call into the driver."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.expression import Executable


class Many:
    """An insert, update or delete. Its parameters are plain numbers and text, and are named in `rows`."""

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
        # The driver has a thread, and each step of a cursor is a way there and back: this is one step.
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        try:
            await driver.executemany(sql, values)
        except sqlite3.Error as error:  # as the engine itself would say it
            dialect = connection.dialect
            raise DBAPIError.instance(sql, None, error, sqlite3.Error, hide_parameters=True, dialect=dialect) from error

    def _sql(self, dialect: Dialect) -> tuple[str, Sequence[str]]:
        known = self._compiled.get(dialect.name)
        if known is None:
            compiled: Any = self._statement.compile(dialect=dialect)  # type: ignore[attr-defined]  # a statement
            known = self._compiled[dialect.name] = str(compiled), tuple(compiled.positiontup)
        return known
