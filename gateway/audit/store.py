"""Reading the audit: what is listed, and what an export holds."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Row, Select, select

from gateway.audit.tables import ACTORS, CONTENT, HEAD, RECORDS
from services.runtime.records.database import Database

PAGE = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: of this tenant and subject, from `since` and before `until`, in seconds since the epoch, after the
    record `after`; all where empty."""

    tenant: str = ""
    subject: str = ""
    since: float | None = None
    until: float | None = None
    after: int = 0

    @property
    def everyone(self) -> bool:
        return not (self.tenant or self.subject)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record as it is stored, with what it refers to: None where that was erased, or never was."""

    sequence: int
    record: str
    previous: str
    hash: str
    actor: dict[str, str] | None
    content: dict[str, str] | None

    @property
    def fields(self) -> dict[str, Any]:
        """What the record tells. ValueError for one that was changed into what is no JSON object."""
        found = orjson.loads(self.record)
        if not isinstance(found, dict):
            raise ValueError(f"record {self.sequence} is no JSON object")
        return found


class AuditStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, wanted: Wanted, limit: int = PAGE, *, content: bool = False) -> Sequence[Recorded]:
        """The next records in order, `limit` at most; with what was said if `content`. Raises RecordsUnavailable."""
        query = _query(wanted).order_by(RECORDS.c.sequence).limit(limit)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
            said = {}
            if content and rows:
                found = select(CONTENT).where(CONTENT.c.sequence.in_([row.sequence for row in rows]))
                said = {row.sequence: row for row in await connection.execute(found)}
        return [_recorded(row, said.get(row.sequence)) for row in rows]

    async def all(self, wanted: Wanted, *, content: bool = False) -> AsyncIterator[Recorded]:
        """All of them, read a page at a time."""
        after = wanted.after
        while True:
            next_ones = Wanted(wanted.tenant, wanted.subject, wanted.since, wanted.until, after)
            page = await self.page(next_ones, content=content)
            for recorded in page:
                yield recorded
            if len(page) < PAGE:
                return
            after = page[-1].sequence

    async def head(self) -> tuple[int, str]:
        """The last record's number and hash; zeros where there is none."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(HEAD.c.sequence, HEAD.c.hash))).one_or_none()
        return (row.sequence, row.hash) if row else (0, "")


def _query(wanted: Wanted) -> "Select[Any]":
    who = [ACTORS.c.subject, ACTORS.c.key_id, ACTORS.c.address, ACTORS.c.salt, ACTORS.c.tenant.label("actor_tenant")]
    joined = RECORDS.outerjoin(ACTORS, ACTORS.c.ref == RECORDS.c.actor)
    query = select(RECORDS, *who).select_from(joined).where(RECORDS.c.sequence > wanted.after)
    if wanted.tenant:
        query = query.where(RECORDS.c.tenant == wanted.tenant)
    if wanted.subject:
        query = query.where(ACTORS.c.subject == wanted.subject)
    if wanted.since is not None:
        query = query.where(RECORDS.c.time >= wanted.since)
    if wanted.until is not None:
        query = query.where(RECORDS.c.time < wanted.until)
    return query


def _recorded(row: "Row[Any]", said: "Row[Any] | None") -> Recorded:
    actor = None
    if row.salt is not None:
        actor = {"address": row.address, "key": row.key_id, "salt": row.salt, "subject": row.subject,
                 "tenant": row.actor_tenant}  # fmt: skip
    content = {"data": said.data, "salt": said.salt} if said is not None else None
    return Recorded(row.sequence, row.record, row.previous, row.hash, actor, content)
