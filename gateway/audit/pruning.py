"""Forgetting the oldest records: the chain then begins at a checkpoint that the gateway has signed."""

from sqlalchemy import delete, exists, func, select, update

from gateway.audit.checkpoints import Checkpoints
from gateway.audit.sink import HEAD_ROW
from gateway.audit.tables import ACTORS, CHECKPOINTS, CONTENT, HEAD, RECORDS
from gateway.records.database import Database

AT_ONCE = 2_000


class Pruner:
    def __init__(self, database: Database, checkpoints: Checkpoints) -> None:
        self._database = database
        self._checkpoints = checkpoints

    async def prune(self, before: float) -> int:
        """Forget all records up to the first that is not older than `before`, in seconds since the epoch, but never
        the last one; how many. Raises RecordsUnavailable."""
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
            hashed = select(RECORDS.c.hash).where(RECORDS.c.sequence == last)
            base = (await connection.execute(hashed)).scalar_one()
            await self._checkpoints.sign(connection, last, base)
            for table in (RECORDS, CONTENT):
                await connection.execute(delete(table).where(table.c.sequence <= last))
            await connection.execute(delete(CHECKPOINTS).where(CHECKPOINTS.c.sequence < last))
            await connection.execute(
                update(HEAD).where(HEAD.c.id == HEAD_ROW).values(base_sequence=last, base_hash=base)
            )
            return int(last - head.base_sequence)

    async def _forget_actors(self, before: float) -> None:
        """Those of whom no record is left."""
        acts = exists().where(RECORDS.c.actor == ACTORS.c.ref)
        async with self._database.write() as connection:
            await connection.execute(delete(ACTORS).where(ACTORS.c.create_time < before, ~acts))
