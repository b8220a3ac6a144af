"""Reading the audit: what is listed, and what is exported.

People read it by time. Each chain is in the order in which it was written, and the chains are merged by the times of
their records: what comes out is sorted by time as far as the clocks of the replicas agree, and each chain is in order
whatever they say. A place in it is a place in each chain, so that who reads on misses nothing that is written later.

An export is JSON lines. A record's line: {"number": 1, "chain": 2, "sequence": 7, "previous": …, "hash": …,
"record": {…}, "actor": {…}, "content": {…}}, without `chain` in the first chain. The last, signed, says which there
are: {"end": "{…}", "signature": …}, where `end` is JSON of the filter, the count, and a hash over all lines.
"""

import hashlib
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import orjson
from sqlalchemy import Row, Select, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.chain import FIRST_CHAIN, canonical
from gateway.audit.seal import EXPORT, Seal
from gateway.audit.tables import ACTORS, CONTENT, HEAD, RECORDS
from services.runtime.records.database import Database

PAGE = 500


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which records: of this tenant and subject, from `since` and before `until`, in seconds since the epoch, after
    these records, by chain; all where empty."""

    tenant: str = ""
    subject: str = ""
    since: float | None = None
    until: float | None = None
    after: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditRecord:
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
        """The fields of the record. ValueError for one that was changed into what is no JSON object."""
        found = orjson.loads(self.record)
        if not isinstance(found, dict):
            raise ValueError(f"record {self.sequence} is no JSON object")
        return found


@dataclass(slots=True)
class _Reader:
    """What was read of one chain and not handed out. `more`: there may be more in the database."""

    chain: int
    after: int
    read: deque[AuditRecord] = field(default_factory=deque)
    more: bool = True


class AuditStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, filter_: AuditFilter, limit: int = PAGE, *, content: bool = False) -> Sequence[AuditRecord]:
        """The next records in order, `limit` at most; with the content if `content`. Raises RecordsUnavailable."""
        found: list[AuditRecord] = []
        async for recorded in self.all(filter_, limit, content=content):
            found.append(recorded)
            if len(found) == limit:
                break
        return found

    async def all(self, filter_: AuditFilter, size: int = PAGE, *, content: bool = False) -> AsyncIterator[AuditRecord]:
        """All of them, of each chain `size` read at a time."""
        async with self._database.read() as connection:
            last = (await connection.execute(select(func.max(HEAD.c.id)))).scalar() or FIRST_CHAIN
        readers = [_Reader(chain, filter_.after.get(chain, 0)) for chain in range(1, last + 1)]
        while True:
            for reader in readers:
                if reader.more and not reader.read:
                    await self._read(reader, filter_, size, content)
            readers = [reader for reader in readers if reader.read]
            if not readers:
                return
            yield min(readers, key=lambda one: (one.read[0].time, one.chain)).read.popleft()

    async def _read(self, reader: _Reader, filter_: AuditFilter, size: int, content: bool) -> None:
        query = _query(replace(filter_, after={reader.chain: reader.after}), reader.chain, size)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
            contents = await _contents(connection, rows) if content and rows else {}
        reader.read.extend(_recorded(row, contents.get(row.sequence)) for row in rows)
        reader.more = len(rows) == size
        reader.after = rows[-1].sequence if rows else reader.after


async def _contents(connection: AsyncConnection, rows: "Sequence[Row[Any]]") -> "Mapping[int, Row[Any]]":
    """The content of records of one chain, by number."""
    keys = [(row.chain, row.sequence) for row in rows]
    found = select(CONTENT).where(tuple_(CONTENT.c.chain, CONTENT.c.sequence).in_(keys))
    return {row.sequence: row for row in await connection.execute(found)}


def _query(filter_: AuditFilter, chain: int, size: int) -> "Select[Any]":
    who = [ACTORS.c.subject, ACTORS.c.key_id, ACTORS.c.address, ACTORS.c.salt, ACTORS.c.tenant.label("actor_tenant")]
    joined = RECORDS.outerjoin(ACTORS, ACTORS.c.ref == RECORDS.c.actor)
    later = (RECORDS.c.chain == chain) & (RECORDS.c.sequence > filter_.after.get(chain, 0))
    query = select(RECORDS, *who).select_from(joined).where(later).order_by(RECORDS.c.sequence).limit(size)
    if filter_.tenant:
        query = query.where(RECORDS.c.tenant == filter_.tenant)
    if filter_.subject:
        query = query.where(ACTORS.c.subject == filter_.subject)
    if filter_.since is not None:
        query = query.where(RECORDS.c.time >= filter_.since)
    if filter_.until is not None:
        query = query.where(RECORDS.c.time < filter_.until)
    return query


def _recorded(row: "Row[Any]", contents: "Row[Any] | None") -> AuditRecord:
    actor = None
    if row.salt is not None:
        actor = {"address": row.address, "key": row.key_id, "salt": row.salt, "subject": row.subject,
                 "tenant": row.actor_tenant}  # fmt: skip
    content = {"data": contents.data, "salt": contents.salt} if contents is not None else None
    return AuditRecord(row.chain, row.sequence, row.time, row.record, row.previous, row.hash, actor, content)


async def export_lines(
    store: AuditStore, seal: Seal, filter_: AuditFilter, *, content: bool = False
) -> AsyncIterator[bytes]:
    """Lines, each with its newline. Raises RecordsUnavailable in between, and then has no last line."""
    whole, number, chains = hashlib.sha256(), 0, dict[int, list[int]]()
    async for recorded in store.all(filter_, content=content):
        number += 1
        line = {"number": number} | ({} if recorded.chain == FIRST_CHAIN else {"chain": recorded.chain}) | {
            "sequence": recorded.sequence, "previous": recorded.previous, "hash": recorded.hash,
            "record": orjson.Fragment(recorded.record),
        } | ({"actor": recorded.actor} if recorded.actor else {}) | (
            {"content": recorded.content} if recorded.content else {}
        )  # fmt: skip
        data = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        whole.update(data)
        chains.setdefault(recorded.chain, [recorded.sequence, 0])[1] = recorded.sequence
        yield data
    end = canonical(
        {"chains": _by_name(chains), "count": number, "digest": whole.hexdigest(),
         "filter": {**asdict(filter_), "after": _by_name(filter_.after)}, "time": time.time()}
    )  # fmt: skip
    signature = seal.sign(EXPORT, end)
    yield orjson.dumps({"end": end, "signature": signature}, option=orjson.OPT_APPEND_NEWLINE)


def _by_name(chains: Mapping[int, object]) -> dict[str, object]:
    """With keys as JSON has them."""
    return {str(chain): value for chain, value in chains.items()}
