"""Erasing for good."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.records.database import Database


@asynccontextmanager
async def erasing(database: Database) -> AsyncIterator[AsyncConnection]:
    """A transaction in which SQLite writes zeros over what is deleted. PostgreSQL does so when it vacuums."""
    async with database.write() as connection:
        if connection.dialect.name == "sqlite":
            await connection.exec_driver_sql("PRAGMA secure_delete=ON")
        yield connection
