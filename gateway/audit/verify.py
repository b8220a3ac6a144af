"""The check of the chains in the database: all of them, a page at a time, beside the signed checkpoints."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select

from gateway.audit.anchors import ChainHead, Checkpoint, Heads, SignedHashes, anchored
from gateway.audit.chain import FIRST_CHAIN, Link, actor_ref, content_hash
from gateway.audit.checkpoints import each_checkpoint
from gateway.audit.entry import Actor
from gateway.audit.pruning import beginning
from gateway.audit.seal import SealCheck
from gateway.audit.tables import ACTORS, CONTENT, HEAD, RECORDS
from gateway.audit.walk import AuditReport, Fault, Walker
from services.runtime.records.database import Database

PAGE = 500


@dataclass(slots=True)
class _Signed(SignedHashes):
    """What good checkpoints say. `start` is the one to begin at; `first` is the number of the oldest that is there,
    good or not; 0 where there is none."""

    start: Heads | None = None
    first: int = 0


@dataclass(frozen=True, slots=True)
class _Page:
    """Records of a chain in order, and what they refer to."""

    records: "Sequence[Row[Any]]"
    actors: "Mapping[str, Row[Any]]"
    contents: "Mapping[int, Row[Any]]"


class Verifier:
    def __init__(self, database: Database, check: SealCheck) -> None:
        self._database = database
        self._check = check

    async def verify(self, after: int = 0, chain: int = FIRST_CHAIN, anchors: Iterable[Checkpoint] = ()) -> AuditReport:
        """Check all records, or with `after` those that came after the checkpoint at this record of `chain`. `anchors`:
        checkpoints that were kept elsewhere. Raises RecordsUnavailable."""
        report = AuditReport()
        kept = anchored(anchors, self._check, report)
        # Before the heads are read, which may be further on than what was signed but not behind it.
        signed = await self._signed(after, chain, report)
        async with self._database.read() as connection:
            heads = {row.id: row for row in await connection.execute(select(HEAD))}
        if signed.first > 1 and not any(head.base_sequence for head in heads.values()):
            report.add(Fault.REMOVED, 0, f"the checkpoints before number {signed.first} were removed")
        if kept.number > signed.number:
            report.add(Fault.REMOVED, 0, f"the checkpoint number {kept.number}, that of an anchor, was removed")
        for number in range(1, max([FIRST_CHAIN, *heads, *signed.hashes]) + 1):
            if number not in heads:
                self._missing(number, signed, report)
        for number, head in sorted(heads.items()):
            start = await self._start(head, signed, report, after if number == chain else 0)
            await self._chain(head, start, signed, kept, report)
        for number in sorted(set(kept.hashes) - set(heads)):
            report.add(Fault.REMOVED, 0, "the chain of an anchor was removed", number)
        await self._beyond(report)
        return report

    async def _signed(self, after: int, chain: int, report: AuditReport) -> _Signed:
        """Read all checkpoints; those that are none, and gaps between them, are faults."""
        signed, last = _Signed(), 0
        async for one in each_checkpoint(self._database):
            if last and one.number != last + 1:
                report.add(Fault.REMOVED, 0, f"a checkpoint before number {one.number} was removed")
            last = signed.number = one.number
            signed.first = signed.first or last
            if not one.good(self._check):
                at = one.ends.get(FIRST_CHAIN, ChainHead(0, "")).sequence
                report.add(Fault.FORGED, at, f"the checkpoint number {last} is not signed by this gateway's key")
                continue
            signed.add(one, report)
            if after and after == one.ends.get(chain, ChainHead(0, "")).sequence:
                signed.start = one.ends
        return signed

    @staticmethod
    def _missing(chain: int, signed: _Signed, report: AuditReport) -> None:
        last = signed.last(chain)
        why = f", of which record {last} was signed" if last else ""
        report.add(Fault.REMOVED, 0, f"the head of the chain{why} was removed", chain)

    async def _start(self, head: "Row[Any]", signed: _Signed, report: AuditReport, after: int) -> ChainHead:
        """The record that the walk along a chain begins after."""
        chain, base = head.id, head.base_sequence
        async with self._database.read() as connection:
            begins = await beginning(connection, self._check, chain, base)
        if begins is None:
            report.add(Fault.FORGED, base, f"that the chain begins after record {base} is not signed", chain)
        elif left := signed.before(chain, base):
            why = f"record {left} was signed, and the chain begins after record {base}"
            report.add(Fault.REMOVED, left, why, chain)
        if signed.start is not None and chain in signed.start and signed.start[chain].sequence >= base:
            return signed.start[chain]
        if after and signed.start is None:
            report.add(Fault.FORGED, after, f"there is no signed checkpoint at record {after}", chain)
            return ChainHead(after, head.hash)
        return ChainHead(base, head.base_hash) if begins is None else begins

    async def _chain(
        self, head: "Row[Any]", start: ChainHead, signed: _Signed, kept: SignedHashes, report: AuditReport
    ) -> None:
        walker = Walker(report, head.id, start.sequence, start.hash)
        if kept.of(head.id, start.sequence) not in (None, start.hash):
            walker.add(Fault.CHANGED, start.sequence, f"record {start.sequence} is not the one of an anchor")
        while walker.sequence < head.sequence and (page := await self._page(walker, head.sequence)).records:
            for row in page.records:
                self._see(row, page, walker, report)
                self._vouch(row, signed, kept, walker, report)
        walker.end(max(head.sequence, kept.last(head.id)))
        await self._end(head.id, signed, walker)

    async def _page(self, walker: Walker, last: int) -> _Page:
        after = RECORDS.c.sequence.between(walker.sequence + 1, last)
        records = select(RECORDS).where(RECORDS.c.chain == walker.chain, after)
        async with self._database.read() as connection:
            rows = (await connection.execute(records.order_by(RECORDS.c.sequence).limit(PAGE))).all()
            if not rows:
                return _Page([], {}, {})
            actors = select(ACTORS).where(ACTORS.c.ref.in_({row.actor for row in rows}))
            of_rows = CONTENT.c.sequence.between(rows[0].sequence, rows[-1].sequence)
            contents = select(CONTENT).where(CONTENT.c.chain == walker.chain, of_rows)
            return _Page(
                rows,
                {row.ref: row for row in await connection.execute(actors)},
                {row.sequence: row for row in await connection.execute(contents)},
            )

    def _see(self, row: "Row[Any]", page: _Page, walker: Walker, report: AuditReport) -> None:
        columns = {"id": row.id, "time": row.time, "tenant": row.tenant, "actor": row.actor}
        walker.see(Link(row.sequence, row.record, row.previous, row.hash, row.chain), columns)
        actor = page.actors.get(row.actor)
        if actor is None:
            report.erased_actors += 1
        elif actor_ref(Actor(actor.tenant, actor.subject, actor.key_id, actor.address), actor.salt) != row.actor:
            walker.add(Fault.CHANGED, row.sequence, f"the actor of record {row.sequence} was changed")
        content = page.contents.get(row.sequence)
        if content is None:
            report.erased_contents += '"content":"' in row.record
        elif f'"content":"{content_hash(content.salt, content.data)}"' not in row.record:
            walker.add(Fault.CHANGED, row.sequence, f"the content of record {row.sequence} was changed")

    @staticmethod
    def _vouch(row: "Row[Any]", signed: _Signed, kept: SignedHashes, walker: Walker, report: AuditReport) -> None:
        at, hash_ = row.sequence, signed.of(row.chain, row.sequence)
        if hash_ is not None and hash_ != row.hash:
            walker.add(Fault.CHANGED, at, f"record {at}, or one before it, is not the one that was signed")
        elif hash_ is not None:
            report.signed = True
        if kept.of(row.chain, at) not in (None, row.hash):
            walker.add(Fault.CHANGED, at, f"record {at}, or one before it, is not the one of an anchor")

    async def _end(self, chain: int, signed: _Signed, walker: Walker) -> None:
        """What lies beyond the head: records that nobody appended, signatures for records that are gone."""
        last = select(func.max(RECORDS.c.sequence)).where(RECORDS.c.chain == chain).scalar_subquery().label("last")
        named = (RECORDS.c.chain == chain) & (RECORDS.c.sequence == HEAD.c.sequence)
        query = select(HEAD.c.sequence, HEAD.c.hash, RECORDS.c.hash.label("hashed"), last)
        async with self._database.read() as connection:
            joined = query.select_from(HEAD.outerjoin(RECORDS, named)).where(HEAD.c.id == chain)
            head = (await connection.execute(joined)).one_or_none()
        if head is None:
            return
        at, end = head.sequence, signed.last(chain)
        if (head.last or 0) > at:
            walker.add(Fault.INSERTED, at + 1, f"there are records after {at}, the last by the head")
        if end > at:
            walker.add(Fault.REMOVED, at + 1, f"the chain ends at record {at}, but record {end} was signed")
        if head.hashed is not None and head.hashed != head.hash:
            walker.add(Fault.CHANGED, at, f"record {at} is not the one that the head names")

    async def _beyond(self, report: AuditReport) -> None:
        """Records of a chain that nobody began."""
        last = select(func.max(RECORDS.c.chain)).scalar_subquery().label("last")
        query = select(func.max(HEAD.c.id).label("head"), last)
        async with self._database.read() as connection:
            numbers = (await connection.execute(query)).one()
        if numbers.head is not None and (numbers.last or 0) > numbers.head:
            report.add(Fault.INSERTED, 0, "there are records of a chain without a head", numbers.last)
