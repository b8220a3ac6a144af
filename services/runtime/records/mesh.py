"""Whose database it is: that of the mesh whose identity key was here first.

All replicas of a mesh, on however many machines, have one identity key. Another mesh that were let in would sign the
audit with a key that the first does not know, and take its runs.
"""

from collections.abc import Collection
from pathlib import Path

from sqlalchemy import Table, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.errors import CannotStart
from services.runtime.identity import fingerprint
from services.runtime.records.database import Database
from services.runtime.records.upsert import insert_new

THE_ONE = 1
SHOWN = 16


class AnotherMesh(CannotStart):
    """The database belongs to another mesh."""

    def __init__(self, variables: str, theirs: str, ours: str, setting: str) -> None:
        super().__init__(
            f"the database of {variables}RECORDS_URL belongs to another mesh: it has the identity key "
            f"{theirs[:SHOWN]}…, and this one {ours[:SHOWN]}…. Give this mesh a database of its own; or, to run "
            "one mesh on several machines, the identity key pair of the first, which is in `identity` of its data "
            "directory; or, where this mesh's key was changed, name the public key of before in "
            f"{variables}{setting.upper()}"
        )


async def claim(
    database: Database, table: Table, key: str, former: Collection[Path], variables: str, setting: str
) -> None:
    """Make the database the mesh's that has the key of this fingerprint, where it is nobody's yet, or that of a former
    key. `former`: PEM files of those, which `setting` names; `variables`: what the service's settings begin with.
    Raises AnotherMesh, RecordsUnavailable, ValueError or OSError for a file that is none."""
    known = {fingerprint(path.read_bytes()) for path in former}
    async with database.write() as connection:
        await connection.execute(insert_new(table).values(id=THE_ONE, key=key))
        theirs = await lock(connection, table)
        if theirs == key:
            return
        if theirs not in known:
            raise AnotherMesh(variables, str(theirs), key, setting)
        await connection.execute(update(table).where(table.c.id == THE_ONE).values(key=key))


async def lock(connection: AsyncConnection, table: Table) -> str | None:
    """The key of the mesh whose database it is; until the transaction ends no other process has it."""
    key: str | None = (await connection.execute(select(table.c.key).with_for_update())).scalar()
    return key
