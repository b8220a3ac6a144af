"""Removing the oldest records: a chain then begins behind a mark that the gateway has signed for the purpose.

An ordinary checkpoint is no such mark, or whoever may write to the database could remove all before one. In a chain
from before signatures stated their purpose the two look alike: the gateway signs for the beginning that it finds, once,
and says so in the log itself, which keeps it from ever doing that again.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.anchors import ChainHead, Checkpoint
from gateway.audit.chain import FIRST_CHAIN, GENESIS, Link
from gateway.audit.checkpoints import PAGE, Checkpoints, checkpoint_of, checkpoints, heads
from gateway.audit.entry import Actor, AuditEntry, Decision
from gateway.audit.seal import PRUNING, Seal, SealCheck, pruning_text
from gateway.audit.sink import AuditSink
from gateway.audit.tables import ACTORS, CHECKPOINTS, CONTENT, HEAD, PRUNINGS, RECORDS
from gateway.audit.walk import AuditReport, Walker
from services.runtime.records.database import Database
from services.runtime.records.upsert import upsert

log = logging.getLogger(__name__)

ADOPT = "audit.adopt"
ADOPTED = "adopted"
"""The rule of the mark behind a beginning that was found."""
AT_ONCE = 2_000


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
        text = pruning_text(self.chain, self.sequence, self.hash, self.time, self.rule)
        return check.good(PRUNING, text, self.signature)


async def mark(connection: AsyncConnection, seal: Seal, chain: int, sequence: int, hash_: str, rule: str) -> None:
    """Sign that the chain begins after this record, by this rule."""
    now = time.time()
    signature = seal.sign(PRUNING, pruning_text(chain, sequence, hash_, now, rule))
    row = {"chain": chain, "sequence": sequence, "hash": hash_, "time": now, "rule": rule, "signature": signature}
    once, key = upsert(PRUNINGS), [PRUNINGS.c.chain, PRUNINGS.c.sequence]
    await connection.execute(once.values(row).on_conflict_do_update(index_elements=key, set_=row))


async def beginning(connection: AsyncConnection, check: SealCheck, chain: int, sequence: int) -> ChainHead | None:
    """The record that the chain begins after; None where that it begins there is not signed."""
    if not sequence:
        return ChainHead(0, GENESIS)
    query = select(PRUNINGS).where(PRUNINGS.c.chain == chain, PRUNINGS.c.sequence == sequence)
    row = (await connection.execute(query)).one_or_none()
    found = Pruning.of(row) if row is not None else None
    return ChainHead(sequence, found.hash) if found is not None and found.good(check) else None


async def adopt(connection: AsyncConnection, seal: Seal, sink: AuditSink) -> None:
    """Sign for the beginning of a chain from before signatures stated their purpose, unless that was done."""
    row = (await connection.execute(select(CHECKPOINTS).order_by(CHECKPOINTS.c.number).limit(1))).one_or_none()
    first = checkpoint_of(row) if row is not None else None
    if first is None or not first.unspecified(seal.check):
        return
    locked = select(HEAD).where(HEAD.c.id == FIRST_CHAIN).with_for_update()
    head = (await connection.execute(locked)).one_or_none()
    if head is None or await _adopted(connection):
        return
    base = ChainHead(head.base_sequence, head.base_hash)
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
    adopting = select(RECORDS.c.sequence).where(RECORDS.c.record.like(f'{{"action":"{ADOPT}"%')).limit(1)
    return (await connection.execute(adopting)).first() is not None


class AuditPruner:
    def __init__(self, database: Database, checkpoints: Checkpoints) -> None:
        self._database = database
        self._checkpoints = checkpoints

    async def prune(self, before: float) -> int:
        """Forget of each chain all records up to the first that is not older than `before`, in seconds since the epoch,
        but never the last one; how many. What does not stand the check of its chain, or is not what was signed, is
        kept, and all after it. Raises RecordsUnavailable."""
        async with self._database.read() as connection:
            chains = sorted(await heads(connection))
        pruned = 0
        for chain in chains:
            while some := await self._part(chain, before):
                pruned += some
        if pruned:
            await self._forget_actors(before)
        return pruned

    async def _part(self, chain: int, before: float) -> int:
        async with self._database.write() as connection:
            head = (await connection.execute(select(HEAD).where(HEAD.c.id == chain).with_for_update())).one_or_none()
            if head is None:
                return 0
            newer = select(func.min(RECORDS.c.sequence)).where(RECORDS.c.chain == chain, RECORDS.c.time >= before)
            first_kept = (await connection.execute(newer)).scalar() or head.sequence
            last = min(first_kept - 1, head.sequence - 1, head.base_sequence + AT_ONCE)
            if last <= head.base_sequence:
                return 0
            hashes = await _sound(connection, head, last)
            outdated = await _outdated(connection, chain, last)
            if hashes is None or not await self._stands(connection, chain, hashes, outdated):
                log.error("the audit is not pruned: what is due does not stand the check", extra={"chain": chain})
                return 0
            rule = f"older than {datetime.fromtimestamp(before, UTC).isoformat()}"
            await mark(connection, self._checkpoints.seal, chain, last, hashes[last], rule)
            for table in (RECORDS, CONTENT):
                await connection.execute(delete(table).where(table.c.chain == chain, table.c.sequence <= last))
            await connection.execute(delete(PRUNINGS).where(PRUNINGS.c.chain == chain, PRUNINGS.c.sequence < last))
            moved = update(HEAD).where(HEAD.c.id == chain).values(base_sequence=last, base_hash=hashes[last])
            await connection.execute(moved)
            if outdated:  # what they vouch for in other chains is signed anew
                await self._checkpoints.sign(connection)
                await connection.execute(delete(CHECKPOINTS).where(CHECKPOINTS.c.number <= outdated[-1].number))
            return int(last - head.base_sequence)

    async def _stands(
        self, connection: AsyncConnection, chain: int, hashes: Mapping[int, str], outdated: Sequence[Checkpoint]
    ) -> bool:
        """Whether all is as these checkpoints say, of which nobody can see afterwards that it was not."""
        for one in outdated:
            own = one.ends[chain]
            if not one.good(self._checkpoints.seal.check) or (own.sequence and hashes.get(own.sequence) != own.hash):
                return False
        latest = outdated[-1].ends if outdated else {}
        return all([other == chain or await _is(connection, other, end) for other, end in latest.items()])

    async def _forget_actors(self, before: float) -> None:
        """Those of whom no record is left."""
        acts = exists().where(RECORDS.c.actor == ACTORS.c.ref)
        async with self._database.write() as connection:
            await connection.execute(delete(ACTORS).where(ACTORS.c.create_time < before, ~acts))


async def _sound(connection: AsyncConnection, head: "Row[Any]", last: int) -> Mapping[int, str] | None:
    """The hashes of the record that the chain begins after and of those up to `last`, by number, where they are a chain
    whose columns say what it says."""
    kept = RECORDS.c.sequence.between(head.base_sequence + 1, last)
    query = select(RECORDS).where(RECORDS.c.chain == head.id, kept).order_by(RECORDS.c.sequence)
    report, hashes = AuditReport(), {head.base_sequence: head.base_hash}
    walker = Walker(report, head.id, head.base_sequence, head.base_hash)
    for row in await connection.execute(query):
        link = Link(row.sequence, row.record, row.previous, row.hash, row.chain)
        walker.see(link, {"id": row.id, "time": row.time})
        hashes[row.sequence] = row.hash
    walker.end(last)
    return hashes if report.sound else None


async def _outdated(connection: AsyncConnection, chain: int, last: int) -> Sequence[Checkpoint]:
    """The checkpoints, oldest first, that name a record of the chain before `last`; a check would miss it."""
    found: list[Checkpoint] = []
    while page := await checkpoints(connection, found[-1].number if found else 0):
        some = [one for one in page if chain not in one.ends or one.ends[chain].sequence < last]
        found += some
        if len(some) < PAGE:
            break
    while found and chain not in found[-1].ends:
        found.pop()
    return [one for one in found if chain in one.ends]


async def _is(connection: AsyncConnection, chain: int, end: ChainHead) -> bool:
    """Whether the record is there and has this hash, or was pruned."""
    base = (await connection.execute(select(HEAD.c.base_sequence).where(HEAD.c.id == chain))).scalar()
    query = select(RECORDS.c.hash).where(RECORDS.c.chain == chain, RECORDS.c.sequence == end.sequence)
    return base is not None and (end.sequence <= base or (await connection.execute(query)).scalar() == end.hash)
