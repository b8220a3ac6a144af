"""Bringing a database's tables up to date by Alembic's migrations."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.records.schema import METADATA

FOLDER = Path(__file__).parent / "migrations"
# Of PostgreSQL's advisory lock: replicas that start together migrate one after the other.
LOCK = 0x68656164


def config(connection: Connection, folder: Path = FOLDER) -> Config:
    """Alembic's configuration for a connection whose transaction is its owner's."""
    made = Config()
    made.set_main_option("script_location", str(folder).replace("%", "%%"))
    made.attributes["connection"] = connection
    return made


def any_in(folder: Path) -> bool:
    """Whether there are migrations at all."""
    return any((folder / "versions").glob("[0-9]*.py"))


async def migrate(connection: AsyncConnection, folder: Path = FOLDER) -> None:
    """Apply the migrations that are missing; where there are none at all, make the tables as they are declared."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
    if any_in(folder):
        await connection.run_sync(lambda sync: command.upgrade(config(sync, folder), "head"))
    else:
        await connection.run_sync(METADATA.create_all)
