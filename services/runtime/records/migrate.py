"""Bringing a database's tables up to date by Alembic's migrations."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.records.schema import Schema

ENVIRONMENT = Path(__file__).parent / "migrations"
# Of PostgreSQL's advisory lock: replicas that start together migrate one after the other.
LOCK = 0x68656164


def config(connection: Connection, schema: Schema) -> Config:
    """Alembic's configuration for a connection whose transaction is its owner's."""
    alembic = Config()
    alembic.set_main_option("script_location", str(ENVIRONMENT).replace("%", "%%"))
    alembic.set_main_option("version_locations", str(schema.versions).replace("%", "%%"))
    alembic.set_main_option("path_separator", "newline")
    alembic.attributes.update(connection=connection, schema=schema)
    return alembic


async def migrate(connection: AsyncConnection, schema: Schema) -> None:
    """Apply the migrations that are missing."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
    await connection.run_sync(lambda sync: command.upgrade(config(sync, schema), "head"))
