"""The records of a service, opened."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from services.runtime.records.changes import Changes
from services.runtime.records.database import Database
from services.runtime.records.schema import Schema
from services.runtime.records.writer import Writer


@dataclass(frozen=True, slots=True)
class Records:
    """`changes` is opened by who has had everything follow it."""

    database: Database
    writer: Writer
    changes: Changes


async def open_database(url: str, schema: Schema, timeout: float, resources: AsyncExitStack) -> Database:
    """A database with its tables up to date, closed with `resources`. Raises RecordsUnavailable."""
    database = Database(url, schema, timeout=timeout)
    resources.push_async_callback(database.aclose)
    await database.open()
    return database


async def open_records(url: str, schema: Schema, timeout: float, resources: AsyncExitStack) -> Records:
    """A database with its writer and its change feed, closed with `resources`. Raises RecordsUnavailable."""
    database = await open_database(url, schema, timeout, resources)
    writer = Writer(database)
    await writer.open()
    resources.push_async_callback(writer.aclose)
    changes = Changes(database)
    resources.push_async_callback(changes.aclose)
    return Records(database, writer, changes)
