"""Where a chain may begin: at its first record, or behind a mark that the gateway has signed for the purpose.

An ordinary checkpoint is no such mark, or whoever may write to the database could remove all before one. In a chain
from before signatures stated their purpose the two look alike: the gateway signs for the beginning that it finds, once,
and says so in the chain itself, which keeps it from ever doing that again.
"""

import logging
import time
from dataclasses import dataclass

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.chain import GENESIS
from gateway.audit.checkpoints import Checkpoint, checkpoints
from gateway.audit.entry import Actor, AuditEntry, Decision
from gateway.audit.seal import PRUNING, Seal, SealCheck, pruning_text
from gateway.audit.sink import HEAD_ROW, AuditSink
from gateway.audit.tables import CHECKPOINTS, HEAD, PRUNINGS, RECORDS
from services.runtime.records.upsert import upsert

log = logging.getLogger(__name__)

ADOPT = "audit.adopt"
ADOPTED = "adopted"
"""The rule of the mark behind a beginning that was found."""


@dataclass(frozen=True, slots=True)
class Pruning:
    """The records up to `sequence`, whose hash was this, were removed by this rule. `time`: seconds since the epoch."""

    sequence: int
    hash: str
    time: float
    rule: str
    signature: str

    def good(self, check: SealCheck) -> bool:
        return check.good(PRUNING, pruning_text(self.sequence, self.hash, self.time, self.rule), self.signature)


async def mark(connection: AsyncConnection, seal: Seal, sequence: int, hash_: str, rule: str) -> None:
    """Sign that the chain begins after this record, by this rule."""
    now = time.time()
    signature = seal.sign(PRUNING, pruning_text(sequence, hash_, now, rule))
    row = {"sequence": sequence, "hash": hash_, "time": now, "rule": rule, "signature": signature}
    once = upsert(connection.dialect.name, PRUNINGS)
    await connection.execute(once.values(row).on_conflict_do_update(index_elements=[PRUNINGS.c.sequence], set_=row))


async def beginning(connection: AsyncConnection, check: SealCheck, sequence: int) -> str | None:
    """The hash of the record that the chain begins after; None where that it begins there is not signed."""
    if not sequence:
        return GENESIS
    row = (await connection.execute(select(PRUNINGS).where(PRUNINGS.c.sequence == sequence))).one_or_none()
    if row is None:
        return None
    found = Pruning(row.sequence, row.hash, row.time, row.rule, row.signature)
    return found.hash if found.good(check) else None


async def signed_before(connection: AsyncConnection, check: SealCheck, sequence: int) -> int:
    """The last record before the beginning for which there is still a good checkpoint, which pruning would have
    removed; 0 where there is none."""
    last = select(func.max(CHECKPOINTS.c.sequence)).where(CHECKPOINTS.c.sequence < sequence)
    at = (await connection.execute(last)).scalar()
    found = await checkpoints(connection, at, at) if at else ()
    return found[0].sequence if found and found[0].good(check) else 0


async def adopt(connection: AsyncConnection, seal: Seal, sink: AuditSink) -> None:
    """Sign for the beginning of a chain from before signatures stated their purpose, unless that was done."""
    first = (await connection.execute(select(CHECKPOINTS).order_by(CHECKPOINTS.c.sequence).limit(1))).one_or_none()
    if first is None or not _checkpoint(first).unspecified(seal.check):
        return
    head = (await connection.execute(select(HEAD).where(HEAD.c.id == HEAD_ROW).with_for_update())).one()
    if await _adopted(connection):
        return
    base, hash_ = head.base_sequence, head.base_hash
    if base and not (first.sequence == base and first.hash == hash_):
        log.error("the audit begins where nothing was signed; `headworks audit verify` says more")
        return
    await mark(connection, seal, base, hash_, ADOPTED)
    details = {"begins_after": str(base), "hash": hash_}
    await sink.append(connection, [AuditEntry(ADOPT, Decision.ALLOWED, Actor(subject="gateway"), details=details)])
    log.info("the beginning of the audit was signed for", extra={"begins_after": base})


async def _adopted(connection: AsyncConnection) -> bool:
    """By the marks; where they say nothing, by the chain, which cannot be made to forget it."""
    if (await connection.execute(select(PRUNINGS.c.sequence).limit(1))).first() is not None:
        return True
    said = select(RECORDS.c.sequence).where(RECORDS.c.record.like(f'{{"action":"{ADOPT}"%')).limit(1)
    return (await connection.execute(said)).first() is not None


def _checkpoint(row: "Row[tuple[object, ...]]") -> Checkpoint:
    return Checkpoint(row.sequence, row.hash, row.time, row.signature)
