"""Where a chain may begin: at its first record, or behind a mark that the gateway has signed for the purpose.

An ordinary checkpoint is no such mark, or whoever may write to the database could remove all before one. In a chain
from before signatures stated their purpose the two look alike: the gateway signs for the beginning that it finds, once,
and says so in the log itself, which keeps it from ever doing that again.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.chain import FIRST_CHAIN, GENESIS
from gateway.audit.checkpoints import Checkpoint, Head
from gateway.audit.entry import Actor, AuditEntry, Decision
from gateway.audit.seal import PRUNING, Seal, SealCheck, pruning_text
from gateway.audit.sink import AuditSink
from gateway.audit.tables import CHECKPOINTS, HEAD, PRUNINGS, RECORDS
from services.runtime.records.upsert import upsert

log = logging.getLogger(__name__)

ADOPT = "audit.adopt"
ADOPTED = "adopted"
"""The rule of the mark behind a beginning that was found."""


@dataclass(frozen=True, slots=True)
class Pruning:
    """The records of a chain up to `sequence`, whose hash was this, were removed by this rule. `time`: seconds since
    the epoch."""

    chain: int
    sequence: int
    hash: str
    time: float
    rule: str
    signature: str

    @classmethod
    def of(cls, row: "Row[Any]") -> "Pruning":
        return cls(row.chain, row.sequence, row.hash, row.time, row.rule, row.signature)

    def good(self, check: SealCheck) -> bool:
        told = pruning_text(self.chain, self.sequence, self.hash, self.time, self.rule)
        return check.good(PRUNING, told, self.signature)


async def mark(connection: AsyncConnection, seal: Seal, chain: int, sequence: int, hash_: str, rule: str) -> None:
    """Sign that the chain begins after this record, by this rule."""
    now = time.time()
    signature = seal.sign(PRUNING, pruning_text(chain, sequence, hash_, now, rule))
    row = {"chain": chain, "sequence": sequence, "hash": hash_, "time": now, "rule": rule, "signature": signature}
    once, key = upsert(PRUNINGS), [PRUNINGS.c.chain, PRUNINGS.c.sequence]
    await connection.execute(once.values(row).on_conflict_do_update(index_elements=key, set_=row))


async def beginning(connection: AsyncConnection, check: SealCheck, chain: int, sequence: int) -> Head | None:
    """The record that the chain begins after; None where that it begins there is not signed."""
    if not sequence:
        return Head(0, GENESIS)
    query = select(PRUNINGS).where(PRUNINGS.c.chain == chain, PRUNINGS.c.sequence == sequence)
    row = (await connection.execute(query)).one_or_none()
    found = Pruning.of(row) if row is not None else None
    return Head(sequence, found.hash) if found is not None and found.good(check) else None


async def adopt(connection: AsyncConnection, seal: Seal, sink: AuditSink) -> None:
    """Sign for the beginning of a chain from before signatures stated their purpose, unless that was done."""
    row = (await connection.execute(select(CHECKPOINTS).order_by(CHECKPOINTS.c.number).limit(1))).one_or_none()
    first = Checkpoint.of(row) if row is not None else None
    if first is None or not first.unspecified(seal.check):
        return
    locked = select(HEAD).where(HEAD.c.id == FIRST_CHAIN).with_for_update()
    head = (await connection.execute(locked)).one_or_none()
    if head is None or await _adopted(connection):
        return
    base = Head(head.base_sequence, head.base_hash)
    if base.sequence and base != first.ends[FIRST_CHAIN]:
        log.error("the audit begins where nothing was signed; `headworks audit verify` says more")
        return
    await mark(connection, seal, FIRST_CHAIN, base.sequence, base.hash, ADOPTED)
    details = {"begins_after": str(base.sequence), "hash": base.hash}
    await sink.append(connection, [AuditEntry(ADOPT, Decision.ALLOWED, Actor(subject="gateway"), details=details)])
    log.info("the beginning of the audit was signed for", extra={"begins_after": base.sequence})


async def _adopted(connection: AsyncConnection) -> bool:
    """By the marks; where they say nothing, by the log, which cannot be made to forget it."""
    if (await connection.execute(select(PRUNINGS.c.sequence).limit(1))).first() is not None:
        return True
    said = select(RECORDS.c.sequence).where(RECORDS.c.record.like(f'{{"action":"{ADOPT}"%')).limit(1)
    return (await connection.execute(said)).first() is not None
