"""Write the next migration: python -m gateway.records.revise 0002 "what it changes".

It compares the declared tables with a database that has all migrations so far.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from alembic import command
from sqlalchemy import Connection

from gateway.records.engine import open_engines, parse
from gateway.records.migrate import FOLDER, config


async def revise(number: str, message: str) -> None:
    """Write gateway/records/migrations/versions/<number>_<message>.py, to be read before it is kept."""
    with tempfile.TemporaryDirectory() as folder:
        engines = open_engines(parse(f"sqlite:///{Path(folder) / 'records.db'}"), 60)
        async with engines.writing.begin() as connection:
            await connection.run_sync(_revise, number, message)
        for engine in (engines.reading, engines.writing):
            await engine.dispose()


def _revise(connection: Connection, number: str, message: str) -> None:
    if any((FOLDER / "versions").glob("[0-9]*.py")):
        command.upgrade(config(connection), "head")
    command.revision(config(connection), message=message, autogenerate=True, rev_id=number)


if __name__ == "__main__":
    asyncio.run(revise(sys.argv[1], sys.argv[2]))
