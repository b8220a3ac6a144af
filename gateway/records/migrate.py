"""Bringing a database's tables up to date by Alembic's migrations."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.records.metadata import METADATA

FOLDER = Path(__file__).parent / "migrations"
# Of PostgreSQL's advisory lock: replicas that start together migrate one after the other.
LOCK = 0x68656164


def config(connection: Connection) -> Config:
    """Alembic's configuration for a connection whose transaction is its owner's."""
    made = Config()
    made.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    made.attributes["connection"] = connection
    return made


async def migrate(connection: AsyncConnection) -> None:
    """Apply the migrations that are missing; where there are none at all, make the tables as they are declared."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
    await connection.run_sync(_upgrade if any((FOLDER / "versions").glob("[0-9]*.py")) else METADATA.create_all)


def _upgrade(connection: Connection) -> None:
    command.upgrade(config(connection), "head")
