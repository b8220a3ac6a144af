"""Forgetting the oldest records: the chain then begins behind a mark that the gateway has signed."""

import logging
from datetime import UTC, datetime

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.beginning import mark
from gateway.audit.chain import Link
from gateway.audit.checkpoints import Checkpoints
from gateway.audit.sink import HEAD_ROW
from gateway.audit.tables import ACTORS, CHECKPOINTS, CONTENT, HEAD, PRUNINGS, RECORDS
from gateway.audit.walk import Report, Walker
from services.runtime.records.database import Database

log = logging.getLogger(__name__)

AT_ONCE = 2_000


class Pruner:
    def __init__(self, database: Database, checkpoints: Checkpoints) -> None:
        self._database = database
        self._checkpoints = checkpoints

    async def prune(self, before: float) -> int:
        """Forget all records up to the first that is not older than `before`, in seconds since the epoch, but never
        the last one; how many. What does not stand the check of the chain is kept, and all after it. Raises
        RecordsUnavailable."""
        pruned = 0
        while some := await self._part(before):
            pruned += some
        if pruned:
            await self._forget_actors(before)
        return pruned

    async def _part(self, before: float) -> int:
        async with self._database.write() as connection:
            head = (await connection.execute(select(HEAD).where(HEAD.c.id == HEAD_ROW).with_for_update())).one_or_none()
            if head is None:
                return 0
            newer = select(func.min(RECORDS.c.sequence)).where(RECORDS.c.time >= before)
            first_kept = (await connection.execute(newer)).scalar() or head.sequence
            last = min(first_kept - 1, head.sequence - 1, head.base_sequence + AT_ONCE)
            if last <= head.base_sequence:
                return 0
            base = await _sound(connection, head.base_sequence, head.base_hash, last)
            if base is None:
                log.error("the audit is not pruned: records that are due do not stand the check of the chain")
                return 0
            rule = f"older than {datetime.fromtimestamp(before, UTC).isoformat()}"
            await mark(connection, self._checkpoints.seal, last, base, rule)
            for table in (RECORDS, CONTENT):
                await connection.execute(delete(table).where(table.c.sequence <= last))
            for signed in (CHECKPOINTS, PRUNINGS):
                await connection.execute(delete(signed).where(signed.c.sequence < last))
            await connection.execute(
                update(HEAD).where(HEAD.c.id == HEAD_ROW).values(base_sequence=last, base_hash=base)
            )
            return int(last - head.base_sequence)

    async def _forget_actors(self, before: float) -> None:
        """Those of whom no record is left."""
        acts = exists().where(RECORDS.c.actor == ACTORS.c.ref)
        async with self._database.write() as connection:
            await connection.execute(delete(ACTORS).where(ACTORS.c.create_time < before, ~acts))


async def _sound(connection: AsyncConnection, base: int, base_hash: str, last: int) -> str | None:
    """The hash of the record `last`, where those after `base` up to it are a chain whose columns say what it says."""
    query = select(RECORDS).where(RECORDS.c.sequence.between(base + 1, last)).order_by(RECORDS.c.sequence)
    report = Report()
    walker = Walker(report, base, base_hash)
    for row in await connection.execute(query):
        walker.see(Link(row.sequence, row.record, row.previous, row.hash), {"id": row.id, "time": row.time})
    walker.end(last)
    return walker.hash if report.sound else None
