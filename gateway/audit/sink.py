"""Appends entries to the chain. The head's row is locked, so that several replicas append to one chain."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.actors import Actors, Reference
from gateway.audit.chain import GENESIS, content_hash, content_json, link, new_salt
from gateway.audit.entry import AuditEntry
from gateway.audit.tables import ACTORS, CONTENT, HEAD, RECORDS
from gateway.metadata import new_id
from services.runtime.records.many import Many
from services.runtime.records.upsert import upsert

HEAD_ROW = 1
_INSERT_RECORDS, _INSERT_CONTENT = Many(insert(RECORDS)), Many(insert(CONTENT))
_THIS = HEAD.c.id == bindparam("row")
_LOCK_HEAD = Many(select(HEAD.c.sequence, HEAD.c.hash).where(_THIS).with_for_update())
_MOVE_HEAD = Many(update(HEAD).where(_THIS).values(sequence=bindparam("to"), hash=bindparam("last")))


@dataclass(slots=True)
class Pending:
    """An entry on its way. `tried` says that it may be in the database already, by its id."""

    entry: AuditEntry
    id: str
    by: Reference
    tried: bool = False


class AuditSink:
    """The records writer's way into the chain, whose head is locked last in every transaction."""

    turn = 100

    def __init__(self, actors: Actors) -> None:
        self._actors = actors

    def pending(self, entry: AuditEntry) -> Pending:
        return Pending(entry, new_id("aud"), self._actors.refer(entry.actor))

    async def append(self, connection: AsyncConnection, entries: Sequence[AuditEntry]) -> None:
        """Append in the transaction of what the entries tell of, such as an administrator's change."""
        await self._write(connection, [self.pending(entry) for entry in entries], own=False)

    async def write(self, connection: AsyncConnection, items: Sequence[Pending]) -> None:
        """See Sink."""
        await self._write(connection, items, own=True)

    async def _write(self, connection: AsyncConnection, items: Sequence[Pending], *, own: bool) -> None:
        """`own`: nothing before this in the transaction has appended."""
        new = await self._new(connection, items)
        if not new:
            return
        await self._store_actors(connection, new, own=own)
        sequence, last = await self._head(connection)
        records, content = [], []
        for item in new:
            sequence += 1
            said = self._content(item, sequence)
            hashed = content_hash(str(said["salt"]), str(said["data"])) if said else ""
            made = link(last, sequence, item.entry, item.id, item.by.ref, hashed)
            last = made.hash
            records.append(
                {
                    "sequence": sequence, "id": item.id, "time": item.entry.time, "tenant": item.by.actor.tenant,
                    "actor": item.by.ref, "record": made.record, "previous": made.previous, "hash": made.hash,
                }
            )  # fmt: skip
            if said:
                content.append(said)
        await _INSERT_RECORDS.execute(connection, records)
        if content:
            await _INSERT_CONTENT.execute(connection, content)
        await _MOVE_HEAD.execute(connection, [{"row": HEAD_ROW, "to": sequence, "last": last}])

    async def _new(self, connection: AsyncConnection, items: Sequence[Pending]) -> Sequence[Pending]:
        """Those that an attempt whose end was not heard of has not written."""
        again = [item.id for item in items if item.tried]
        for item in items:
            item.tried = True
        if not again:
            return items
        written = set((await connection.execute(select(RECORDS.c.id).where(RECORDS.c.id.in_(again)))).scalars())
        return [item for item in items if item.id not in written]

    async def _store_actors(self, connection: AsyncConnection, items: Sequence[Pending], *, own: bool) -> None:
        """Only what another transaction has stored is known to stay."""
        unsure = {item.by.ref: item.by for item in items if not item.by.stored}
        if not unsure:
            return
        stored = set((await connection.execute(select(ACTORS.c.ref).where(ACTORS.c.ref.in_(unsure)))).scalars())
        for ref in stored if own else ():
            unsure[ref].stored = True
        rows = [by.row() for ref, by in unsure.items() if ref not in stored]
        if rows:
            await connection.execute(insert(ACTORS), rows)

    async def _head(self, connection: AsyncConnection) -> tuple[int, str]:
        rows = await _LOCK_HEAD.fetch(connection, {"row": HEAD_ROW})
        if not rows:
            await make_head(connection)
            rows = await _LOCK_HEAD.fetch(connection, {"row": HEAD_ROW})
        [(sequence, last)] = rows
        return sequence, last

    def _content(self, item: Pending, sequence: int) -> dict[str, object] | None:
        if item.entry.content is None:
            return None
        return {
            "sequence": sequence, "tenant": item.by.actor.tenant, "time": item.entry.time, "actor": item.by.ref,
            "salt": new_salt(), "data": content_json(item.entry.content),
        }  # fmt: skip


async def make_head(connection: AsyncConnection) -> None:
    """Begin the chain, unless it has begun."""
    once = upsert(connection.dialect.name, HEAD)
    row = {"id": HEAD_ROW, "sequence": 0, "hash": GENESIS, "base_sequence": 0, "base_hash": GENESIS}
    await connection.execute(once.on_conflict_do_nothing(), [row])
