"""Statements that are executed again and again: compiled once, and one step into the driver for all their rows."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Dialect, Select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.expression import Executable

Values: TypeAlias = Mapping[str, Any]
Rows: TypeAlias = list[tuple[Any, ...]]


class Many:
    """Its parameters are plain numbers, text and bytes, and are named in `rows`."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self.reads = isinstance(statement, Select)
        self._compiled: dict[str, tuple[str, Sequence[str]]] = {}

    async def execute(self, connection: AsyncConnection, rows: Sequence[Values]) -> None:
        """Execute it for all rows, in their order; nothing is known of how many it changed."""
        await execute_all(connection, ((self, rows),))

    async def fetch(self, connection: AsyncConnection, values: Values) -> Rows:
        """The rows of a select."""
        return (await execute_all(connection, ((self, (values,)),)))[0]

    def sql(self, dialect: Dialect) -> tuple[str, Sequence[str]]:
        """The statement in the dialect's words, and the names of its parameters in their order."""
        known = self._compiled.get(dialect.name)
        if known is None:
            compiled: Any = self._statement.compile(dialect=dialect)  # type: ignore[attr-defined]  # a statement
            known = self._compiled[dialect.name] = str(compiled), tuple(compiled.positiontup)
        return known


Step: TypeAlias = tuple[Many, Sequence[Values]]


# May raise for what selects found, once the last of them was executed: then nothing is written.
Check: TypeAlias = Callable[[list[Rows]], None]
Part: TypeAlias = tuple[Sequence[Step], Check]
_Script: TypeAlias = Sequence[tuple[bool, str, list[tuple[Any, ...]]]]
T = TypeVar("T")


async def execute_all(connection: AsyncConnection, steps: Sequence[Step], check: Check | None = None) -> list[Rows]:
    """Execute statements one after the other, each for all its rows; returns the rows of the selects among them, which
    have one row of parameters each. On SQLite it is one step of the driver's thread. What follows the last select is
    not executed where `check` raises."""
    if not steps:
        return []
    script = _script(steps, connection.dialect)
    if connection.dialect.name == "sqlite":
        return await _in_thread(connection, _run, script, check)
    found: list[Rows] = []
    selects = _selects(script)
    for reads, sql, values in script:
        if reads:
            found.append([tuple(row) for row in await connection.exec_driver_sql(sql, values[0])])
            if check is not None and len(found) == selects:
                check(found)
        else:
            await connection.exec_driver_sql(sql, values)
    return found


async def sqlite_transaction(connection: AsyncConnection, parts: Sequence[Part]) -> None:
    """A whole transaction in one step of the driver's thread, on a connection that has none. It is undone where a check
    raises, and goes on to its end where its waiter is cancelled."""
    await _in_thread(connection, _transaction, [(_script(steps, connection.dialect), check) for steps, check in parts])


def _script(steps: Sequence[Step], dialect: Dialect) -> _Script:
    script = []
    for many, rows in steps:
        sql, names = many.sql(dialect)
        script.append((many.reads, sql, [tuple([row[name] for name in names]) for row in rows]))
    return script


async def _in_thread(connection: AsyncConnection, function: Callable[..., T], *arguments: Any) -> T:
    # It is connected: the public way to the driver's connection would ask, by a greenlet of its own.
    driver: Any = connection.sync_connection.connection.driver_connection  # type: ignore[union-attr]
    with _as_the_engine_says(connection):
        # Not public. In public the driver takes one statement a step, a way to its thread and back every time, or a
        # script without parameters; a thread of the kit's own could not write within a transaction of the engine's.
        result: T = await driver._execute(function, driver._conn, *arguments)
        return result


def _run(connection: sqlite3.Connection, script: _Script, check: Check | None) -> list[Rows]:
    found: list[Rows] = []
    selects = _selects(script)
    for reads, sql, values in script:
        if reads:
            found.append(connection.execute(sql, values[0]).fetchall())
            if check is not None and len(found) == selects:
                check(found)
        elif len(values) == 1:
            connection.execute(sql, values[0])
        else:
            connection.executemany(sql, values)
    return found


def _selects(script: _Script) -> int:
    return sum(reads for reads, _, _ in script)


def _transaction(connection: sqlite3.Connection, parts: Sequence[tuple[_Script, Check]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for script, check in parts:
            _run(connection, script, check)
        connection.commit()
    except BaseException:
        connection.rollback()
        raise


@contextmanager
def _as_the_engine_says(connection: AsyncConnection) -> Iterator[None]:
    """Raises DBAPIError for the driver's own errors."""
    try:
        yield
    except sqlite3.Error as error:
        dialect = connection.dialect
        raise DBAPIError.instance(None, None, error, sqlite3.Error, hide_parameters=True, dialect=dialect) from error
