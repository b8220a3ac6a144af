"""Opened records, and a table to write to."""

from collections.abc import AsyncIterator, Sequence

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.schema.schema import SCHEMA
from services.runtime.records.database import Database
from services.runtime.records.upsert import insert_new

METADATA = MetaData()
NOTES = Table(
    "test_notes",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("text", String(100), nullable=False),
)


class NoteSink:
    """Writes (id, text), and counts its batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    async def write(self, connection: AsyncConnection, items: Sequence[tuple[int, str]]) -> None:
        self.batches.append(len(items))
        rows = [{"id": number, "text": text} for number, text in items]
        await connection.execute(insert_new(NOTES), rows)


async def notes_in(database: Database) -> dict[int, str]:
    async with database.read() as connection:
        return {row.id: row.text for row in await connection.execute(select(NOTES))}


async def open_database(url: str, timeout: float = 5.0) -> Database:
    """The records, with the table of notes beside their own."""
    opened = Database(url, SCHEMA, timeout=timeout)
    await opened.open()
    async with opened.write() as connection:
        await connection.run_sync(METADATA.create_all)
    return opened


@pytest.fixture
async def database(records_url: str) -> AsyncIterator[Database]:
    opened = await open_database(records_url)
    yield opened
    await opened.aclose()
