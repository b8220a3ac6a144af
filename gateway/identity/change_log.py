"""The change log of identity, which replicas follow."""

import time
from collections.abc import Iterable, Sequence

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.identity.tables import IDENTITY_CHANGES
from services.runtime.records.changes import bump

KIND = "identity"
KEPT_SECONDS = 86_400.0
PAGE = 5_000
Entry = tuple[str, str]


async def changed(connection: AsyncConnection, kind: str, *names: str) -> None:
    """Note, in the same transaction, that these tenants, roles, principals or keys change.

    The bump comes first: it lets one transaction after the other in, so that entries are numbered as they are
    committed and nobody who reads on passes one by.
    """
    await bump(connection, KIND)
    now = time.time()
    rows = [{"kind": kind, "name": name, "made": now} for name in names]
    if rows:
        await connection.execute(insert(IDENTITY_CHANGES), rows)
    await connection.execute(delete(IDENTITY_CHANGES).where(IDENTITY_CHANGES.c.made < now - KEPT_SECONDS))


async def newest(connection: AsyncConnection) -> int:
    """The number of the last entry; 0 where there is none."""
    return int(await connection.scalar(select(func.max(IDENTITY_CHANGES.c.id))) or 0)


async def since(connection: AsyncConnection, number: int) -> tuple[int, Sequence[Entry]] | None:
    """The last number and what changed after `number`; None where that was too much or is no longer known."""
    table = IDENTITY_CHANGES.c
    oldest = await connection.scalar(select(func.min(table.id)))
    if oldest is None or oldest > number + 1:
        return None
    query = select(table.id, table.kind, table.name).where(table.id > number).order_by(table.id).limit(PAGE + 1)
    rows = (await connection.execute(query)).all()
    if len(rows) > PAGE:
        return None
    return (rows[-1].id if rows else number), [(row.kind, row.name) for row in rows]


def named(entries: Iterable[Entry], kind: str) -> set[str]:
    """What changed of one kind."""
    return {name for changed_kind, name in entries if changed_kind == kind}
