"""Reading the audit: what is listed, and what an export holds.

People read it by time. Each chain is in the order in which it was written, and the chains are merged by the times of
their records: what comes out is sorted by time as far as the clocks of the replicas agree, and each chain is in order
whatever they say. A place in it is a place in each chain, so that who reads on misses nothing that is written later.
"""

from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from sqlalchemy import Row, Select, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.chain import FIRST_CHAIN
from gateway.audit.tables import ACTORS, CONTENT, HEAD, RECORDS
from services.runtime.records.database import Database

PAGE = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: of this tenant and subject, from `since` and before `until`, in seconds since the epoch, after
    these records, by chain; all where empty."""

    tenant: str = ""
    subject: str = ""
    since: float | None = None
    until: float | None = None
    after: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record as it is stored, with what it refers to: None where that was erased, or never was."""

    chain: int
    sequence: int
    time: float
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


@dataclass(slots=True)
class _Reader:
    """What was read of one chain and not handed out. `more`: there may be more in the database."""

    chain: int
    after: int
    read: deque[Recorded] = field(default_factory=deque)
    more: bool = True


class AuditStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, wanted: Wanted, limit: int = PAGE, *, content: bool = False) -> Sequence[Recorded]:
        """The next records in order, `limit` at most; with what was said if `content`. Raises RecordsUnavailable."""
        found: list[Recorded] = []
        async for recorded in self.all(wanted, limit, content=content):
            found.append(recorded)
            if len(found) == limit:
                break
        return found

    async def all(self, wanted: Wanted, size: int = PAGE, *, content: bool = False) -> AsyncIterator[Recorded]:
        """All of them, of each chain `size` read at a time."""
        async with self._database.read() as connection:
            last = (await connection.execute(select(func.max(HEAD.c.id)))).scalar() or FIRST_CHAIN
        readers = [_Reader(chain, wanted.after.get(chain, 0)) for chain in range(1, last + 1)]
        while True:
            for reader in readers:
                if reader.more and not reader.read:
                    await self._read(reader, wanted, size, content)
            readers = [reader for reader in readers if reader.read]
            if not readers:
                return
            yield min(readers, key=lambda one: (one.read[0].time, one.chain)).read.popleft()

    async def _read(self, reader: _Reader, wanted: Wanted, size: int, content: bool) -> None:
        query = _query(replace(wanted, after={reader.chain: reader.after}), reader.chain, size)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
            said = await _said(connection, rows) if content and rows else {}
        reader.read.extend(_recorded(row, said.get(row.sequence)) for row in rows)
        reader.more = len(rows) == size
        reader.after = rows[-1].sequence if rows else reader.after


async def _said(connection: AsyncConnection, rows: "Sequence[Row[Any]]") -> "Mapping[int, Row[Any]]":
    """What was said of records of one chain, by number."""
    keys = [(row.chain, row.sequence) for row in rows]
    found = select(CONTENT).where(tuple_(CONTENT.c.chain, CONTENT.c.sequence).in_(keys))
    return {row.sequence: row for row in await connection.execute(found)}


def _query(wanted: Wanted, chain: int, size: int) -> "Select[Any]":
    who = [ACTORS.c.subject, ACTORS.c.key_id, ACTORS.c.address, ACTORS.c.salt, ACTORS.c.tenant.label("actor_tenant")]
    joined = RECORDS.outerjoin(ACTORS, ACTORS.c.ref == RECORDS.c.actor)
    later = (RECORDS.c.chain == chain) & (RECORDS.c.sequence > wanted.after.get(chain, 0))
    query = select(RECORDS, *who).select_from(joined).where(later).order_by(RECORDS.c.sequence).limit(size)
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
    return Recorded(row.chain, row.sequence, row.time, row.record, row.previous, row.hash, actor, content)
