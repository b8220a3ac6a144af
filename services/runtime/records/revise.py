"""Writing the next migration of a service: python -m services.runtime.records.revise gateway.schema 0002 "…".

It compares the declared tables with a database that has all migrations so far.
"""

import asyncio
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from alembic import command
from sqlalchemy import Connection

from services.runtime.records.engine import open_engines, parse
from services.runtime.records.migrate import config
from services.runtime.records.schema import Schema


async def revise(schema: Schema, number: str, message: str) -> None:
    """Write <versions>/<number>_<message>.py, to be read before it is kept."""
    with tempfile.TemporaryDirectory() as scratch:
        engines = open_engines(parse(f"sqlite:///{Path(scratch) / 'records.db'}"), 60)
        async with engines.writing.begin() as connection:
            await connection.run_sync(_revise, schema, number, message)
        await engines.aclose()


def _revise(connection: Connection, schema: Schema, number: str, message: str) -> None:
    alembic = config(connection, schema)
    command.upgrade(alembic, "head")
    command.revision(alembic, message=message, autogenerate=True, rev_id=number)


if __name__ == "__main__":
    asyncio.run(revise(import_module(f"{sys.argv[1]}.schema").SCHEMA, sys.argv[2], sys.argv[3]))
