"""Forgetting the oldest records: a chain then begins behind a mark that the gateway has signed."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.beginning import mark
from gateway.audit.chain import Link
from gateway.audit.checkpoints import PAGE, Checkpoint, Checkpoints, Head, checkpoints, heads
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
    report, hashes = Report(), {head.base_sequence: head.base_hash}
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


async def _is(connection: AsyncConnection, chain: int, end: Head) -> bool:
    """Whether the record is there and has this hash, or was pruned."""
    base = (await connection.execute(select(HEAD.c.base_sequence).where(HEAD.c.id == chain))).scalar()
    query = select(RECORDS.c.hash).where(RECORDS.c.chain == chain, RECORDS.c.sequence == end.sequence)
    return base is not None and (end.sequence <= base or (await connection.execute(query)).scalar() == end.hash)
