"""Bringing a database's tables up to date by Alembic's migrations."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.errors import CannotStart
from services.runtime.records.schema import Schema

ENVIRONMENT = Path(__file__).parent / "migrations"
# Of PostgreSQL's advisory lock: replicas that start together migrate one after the other.
LOCK = 0x68656164
# What Alembic works on is global: a process with several databases migrates one after the other.
_ALEMBIC: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


class RecordsTooNew(CannotStart):
    """The database has migrations that this version does not know."""

    def __init__(self, service: str, revisions: Sequence[str]) -> None:
        super().__init__(
            f"the records of {service} were migrated by a newer version of Headworks (revision {', '.join(revisions)}):"
            " start that version or a later one, or restore a backup that this version made. Nothing was changed"
        )


def config(connection: Connection, schema: Schema) -> Config:
    """Alembic's configuration for a connection whose transaction is its owner's."""
    alembic = Config()
    alembic.set_main_option("script_location", str(ENVIRONMENT).replace("%", "%%"))
    alembic.set_main_option("version_locations", str(schema.versions).replace("%", "%%"))
    alembic.set_main_option("path_separator", "newline")
    alembic.attributes.update(connection=connection, schema=schema)
    return alembic


async def migrate(connection: AsyncConnection, schema: Schema) -> None:
    """Apply the migrations that are missing. Raises RecordsTooNew."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
    async with _ALEMBIC.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        await connection.run_sync(_upgrade, schema)


def _upgrade(connection: Connection, schema: Schema) -> None:
    alembic = config(connection, schema)
    known = {script.revision for script in ScriptDirectory.from_config(alembic).walk_revisions()}
    there = MigrationContext.configure(connection, opts={"version_table": schema.version_table}).get_current_heads()
    if unknown := sorted(set(there) - known):
        raise RecordsTooNew(schema.service, unknown)
    command.upgrade(alembic, "head")
