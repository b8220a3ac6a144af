"""Signed checkpoints: the chain up to one cannot be rewritten or cut short, even by who may write to the database."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.seal import CHECKPOINT, UNSPECIFIED, Seal, SealCheck, checkpoint_text
from gateway.audit.tables import CHECKPOINTS, HEAD
from services.runtime.records.database import Database
from services.runtime.records.upsert import upsert

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The chain's record number `sequence` had this hash. `time`: seconds since the epoch."""

    sequence: int
    hash: str
    time: float
    signature: str

    def good(self, check: SealCheck) -> bool:
        return self._signed(check, CHECKPOINT) or self.unspecified(check)

    def unspecified(self, check: SealCheck) -> bool:
        """Whether it is from before signatures stated their purpose."""
        return self._signed(check, UNSPECIFIED)

    def _signed(self, check: SealCheck, purpose: str) -> bool:
        return check.good(purpose, checkpoint_text(self.sequence, self.hash, self.time), self.signature)


class Checkpoints:
    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self.seal = seal

    async def write(self) -> Checkpoint | None:
        """Sign the chain's present end, unless that is done; None where it is. It is logged too, so that whoever keeps
        the logs elsewhere can tell a chain that was cut short together with its checkpoints."""
        async with self._database.read() as connection:
            head = (await connection.execute(select(HEAD.c.sequence, HEAD.c.hash))).one_or_none()
        if head is None or head.sequence == 0:
            return None
        async with self._database.write() as connection:
            made = await self.sign(connection, head.sequence, head.hash)
        if made is not None:
            log.info("audit checkpoint", extra={"sequence": made.sequence, "hash": made.hash})
        return made

    async def sign(self, connection: AsyncConnection, sequence: int, hash_: str) -> Checkpoint | None:
        """Sign that the record `sequence` has this hash; None where it was signed before."""
        now = time.time()
        made = Checkpoint(sequence, hash_, now, self.seal.sign(CHECKPOINT, checkpoint_text(sequence, hash_, now)))
        once = upsert(connection.dialect.name, CHECKPOINTS)
        row = {"sequence": sequence, "hash": hash_, "time": now, "signature": made.signature}
        result = await connection.execute(once.values(row).on_conflict_do_nothing())
        return made if result.rowcount == 1 else None


async def checkpoints(connection: AsyncConnection, first: int, last: int) -> Sequence[Checkpoint]:
    """The checkpoints of the records from `first` to `last`, in order."""
    query = select(CHECKPOINTS).where(CHECKPOINTS.c.sequence.between(first, last)).order_by(CHECKPOINTS.c.sequence)
    return [Checkpoint(row.sequence, row.hash, row.time, row.signature) for row in await connection.execute(query)]
