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
from gateway.records.migrate import FOLDER, any_in, config


async def revise(number: str, message: str, folder: Path = FOLDER) -> None:
    """Write <folder>/versions/<number>_<message>.py, to be read before it is kept."""
    with tempfile.TemporaryDirectory() as scratch:
        engines = open_engines(parse(f"sqlite:///{Path(scratch) / 'records.db'}"), 60)
        async with engines.writing.begin() as connection:
            await connection.run_sync(_revise, number, message, folder)
        for engine in (engines.reading, engines.writing):
            await engine.dispose()


def _revise(connection: Connection, number: str, message: str, folder: Path) -> None:
    told = config(connection, folder)
    if any_in(folder):
        command.upgrade(told, "head")
    command.revision(told, message=message, autogenerate=True, rev_id=number)


if __name__ == "__main__":
    asyncio.run(revise(sys.argv[1], sys.argv[2]))
