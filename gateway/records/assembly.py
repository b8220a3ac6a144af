"""The records, opened as the settings say."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from gateway.records.changes import Changes
from gateway.records.database import Database
from gateway.records.writer import Writer
from gateway.settings import GatewaySettings


@dataclass(frozen=True, slots=True)
class Records:
    """`changes` is opened by who has had everything follow it."""

    database: Database
    writer: Writer
    changes: Changes


async def open_records(settings: GatewaySettings, resources: AsyncExitStack) -> Records:
    """Closed with `resources`. Raises RecordsUnavailable."""
    database = Database(settings.records_url, timeout=settings.records_timeout_seconds)
    await database.open()
    resources.push_async_callback(database.aclose)
    writer = Writer(database)
    await writer.open()
    resources.push_async_callback(writer.aclose)
    changes = Changes(database)
    resources.push_async_callback(changes.aclose)
    return Records(database, writer, changes)
