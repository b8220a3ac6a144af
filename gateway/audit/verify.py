"""The check of the chain in the database: all of it, a page at a time, beside the signed checkpoints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select

from gateway.audit.beginning import beginning, signed_before
from gateway.audit.chain import Link, actor_ref, content_hash
from gateway.audit.checkpoints import Checkpoint, checkpoints
from gateway.audit.entry import Actor
from gateway.audit.seal import SealCheck
from gateway.audit.tables import ACTORS, CHECKPOINTS, CONTENT, HEAD, RECORDS
from gateway.audit.walk import Fault, Report, Walker
from services.runtime.records.database import Database

PAGE = 500


@dataclass(frozen=True, slots=True)
class _Page:
    """Records in order, and what they refer to."""

    records: "Sequence[Row[Any]]"
    actors: "Mapping[str, Row[Any]]"
    contents: "Mapping[int, Row[Any]]"
    checkpoints: Mapping[int, Checkpoint]


class Verifier:
    """`anchor`: a checkpoint that was kept elsewhere, such as in the logs: (sequence, hash)."""

    def __init__(self, database: Database, check: SealCheck) -> None:
        self._database = database
        self._check = check

    async def verify(self, after: int = 0, anchor: tuple[int, str] | None = None) -> Report:
        """Check the records after the checkpoint `after`, or all there are with 0. Raises RecordsUnavailable."""
        report = Report()
        start, head = await self._start(after, report)
        walker = Walker(report, *start)
        anchors = {anchor[0]: anchor[1]} if anchor else {}
        while walker.sequence < head and (page := await self._page(walker.sequence, head)).records:
            for row in page.records:
                self._see(row, page, walker, report)
                if row.sequence in anchors and anchors[row.sequence] != row.hash:
                    report.add(Fault.CHANGED, row.sequence, f"record {row.sequence} is not the one of the anchor")
        walker.end(max([head, *anchors]))
        await self._end(report)
        return report

    async def _start(self, after: int, report: Report) -> tuple[tuple[int, str], int]:
        """Where the walk begins, and the last record by the head."""
        async with self._database.read() as connection:
            head = (await connection.execute(select(HEAD))).one_or_none()
            if head is None:
                report.add(Fault.REMOVED, 0, "the head of the chain was removed")
                return (0, ""), 0
            base = head.base_sequence
            begins = await beginning(connection, self._check, base)
            left = await signed_before(connection, self._check, base)
            found = await checkpoints(connection, after, after) if after else []
        if begins is None:
            report.add(Fault.FORGED, base, f"that the chain begins after record {base} is not signed")
        elif left:
            report.add(Fault.REMOVED, left, f"record {left} was signed, and the chain begins after record {base}")
        if not after:
            return (base, head.base_hash if begins is None else begins), head.sequence
        if not found or not found[0].good(self._check):
            report.add(Fault.FORGED, after, f"there is no signed checkpoint at record {after}")
            return (after, head.hash), head.sequence
        return (after, found[0].hash), head.sequence

    async def _page(self, after: int, last: int) -> _Page:
        records = select(RECORDS).where(RECORDS.c.sequence.between(after + 1, last))
        async with self._database.read() as connection:
            rows = (await connection.execute(records.order_by(RECORDS.c.sequence).limit(PAGE))).all()
            if not rows:
                return _Page([], {}, {}, {})
            first, end = rows[0].sequence, rows[-1].sequence
            actors = select(ACTORS).where(ACTORS.c.ref.in_({row.actor for row in rows}))
            contents = select(CONTENT).where(CONTENT.c.sequence.between(first, end))
            return _Page(
                rows,
                {row.ref: row for row in await connection.execute(actors)},
                {row.sequence: row for row in await connection.execute(contents)},
                {one.sequence: one for one in await checkpoints(connection, first, end)},
            )

    def _see(self, row: "Row[Any]", page: _Page, walker: Walker, report: Report) -> None:
        told = {"id": row.id, "time": row.time, "tenant": row.tenant, "actor": row.actor}
        walker.see(Link(row.sequence, row.record, row.previous, row.hash), told)
        actor = page.actors.get(row.actor)
        if actor is None:
            report.erased_actors += 1
        elif actor_ref(Actor(actor.tenant, actor.subject, actor.key_id, actor.address), actor.salt) != row.actor:
            report.add(Fault.CHANGED, row.sequence, f"who did what record {row.sequence} tells was changed")
        self._content(row, page, report)
        checkpoint = page.checkpoints.get(row.sequence)
        if checkpoint is not None:
            self._checkpoint(checkpoint, row.hash, report)

    def _content(self, row: "Row[Any]", page: _Page, report: Report) -> None:
        said = page.contents.get(row.sequence)
        if said is None:
            report.erased_contents += '"content":"' in row.record
        elif f'"content":"{content_hash(said.salt, said.data)}"' not in row.record:
            report.add(Fault.CHANGED, row.sequence, f"the content of record {row.sequence} was changed")

    def _checkpoint(self, checkpoint: Checkpoint, hash_: str, report: Report) -> None:
        at = checkpoint.sequence
        if not checkpoint.good(self._check):
            report.add(Fault.FORGED, at, f"the checkpoint at record {at} is not signed by this gateway's key")
        elif checkpoint.hash != hash_:
            report.add(Fault.CHANGED, at, f"record {at}, or one before it, is not the one that was signed")
        else:
            report.signed = True

    async def _end(self, report: Report) -> None:
        """What lies beyond the head: records that nobody appended, checkpoints of records that are gone."""
        head_now = select(HEAD.c.sequence).scalar_subquery().label("head")
        signed = select(func.max(CHECKPOINTS.c.sequence)).scalar_subquery().label("signed")
        beyond = select(func.max(RECORDS.c.sequence).label("last"), head_now, signed)
        async with self._database.read() as connection:
            found = (await connection.execute(beyond)).one()
            hashed = (await connection.execute(select(RECORDS.c.hash).where(RECORDS.c.sequence == found.head))).scalar()
            stored = (await connection.execute(select(HEAD.c.hash).where(HEAD.c.sequence == found.head))).scalar()
        if found.head is not None and (found.last or 0) > found.head:
            report.add(Fault.INSERTED, found.head + 1, f"there are records after {found.head}, the last by the head")
        if (found.signed or 0) > (found.head or 0):
            report.add(Fault.REMOVED, (found.head or 0) + 1,
                       f"the chain ends at record {found.head}, but record {found.signed} was signed")  # fmt: skip
        if hashed is not None and stored is not None and hashed != stored:
            report.add(Fault.CHANGED, found.head, f"record {found.head} is not the one that the head names")
