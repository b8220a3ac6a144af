"""Appends entries to this process's own chain.

A chain's head is locked by whoever appends to it, so two processes may append to one and do no harm but wait for each
other. To keep out of each other's way each takes a chain that nobody holds, or begins another; how long it is held is
written with each record, by the process' own clock: where clocks differ, one may take the chain of another that is
alive, which then moves on. The chains of processes that are gone are gone on with by others: there are about as many
as there ever were processes at once.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import BindParameter, bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.anchors import ChainHead
from gateway.audit.chain import FIRST_CHAIN, GENESIS, actor_ref, content_hash, content_json, link, new_salt
from gateway.audit.entry import Actor, AuditEntry
from gateway.audit.tables import ACTORS, CONTENT, HEAD, RECORDS
from gateway.metadata import new_id
from services.runtime.records.many import Many, Rows, Step, Values, execute_all
from services.runtime.records.upsert import insert_new
from services.runtime.records.writer import Outdated, ScriptSink

REMEMBERED = 20_000
# So long after its last record a chain is its holder's.
HELD_SECONDS = 30.0
_INSERT_RECORDS, _INSERT_CONTENT = Many(insert(RECORDS)), Many(insert(CONTENT))
_THIS, _MINE = HEAD.c.id == bindparam("row"), HEAD.c.holder == bindparam("by")
_LOCK_HEAD = Many(select(HEAD.c.sequence, HEAD.c.hash).where(_THIS, _MINE).with_for_update())
_MOVED: dict[str, BindParameter[object]] = {
    "sequence": bindparam("to"),
    "hash": bindparam("last"),
    "expires": bindparam("until"),
}
_MOVE_HEAD = Many(update(HEAD).where(_THIS).values(_MOVED))


@dataclass(slots=True)
class ActorReference:
    """`stored` is set once the actor's row is known to be in the database."""

    ref: str
    actor: Actor
    salt: str
    stored: bool = False

    def row(self) -> dict[str, object]:
        return {
            "ref": self.ref, "tenant": self.actor.tenant, "subject": self.actor.subject, "key_id": self.actor.key,
            "address": self.actor.address, "salt": self.salt, "create_time": time.time(),
        }  # fmt: skip


class Actors:
    """The latest `limit` actors. After an erasure all are forgotten, so that nobody goes on under an erased name."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._known: OrderedDict[Actor, ActorReference] = OrderedDict()

    def refer(self, actor: Actor) -> ActorReference:
        known = self._known.get(actor)
        if known is not None:
            self._known.move_to_end(actor)
            return known
        plain = _plain(actor)
        salt = new_salt()
        made = self._known[actor] = ActorReference(actor_ref(plain, salt), plain, salt)
        if len(self._known) > self._limit:
            self._known.popitem(last=False)
        return made

    async def forget(self) -> None:
        """Follow a change of the kind "audit_actors"."""
        self._known.clear()


def _plain(actor: Actor) -> Actor:
    """What every database can hold."""
    tenant, subject, key, address = (
        value.encode("utf-8", "replace").decode().replace("\0", "")
        for value in (actor.tenant[:128], actor.subject[:256], actor.key[:128], actor.address[:64])
    )
    return Actor(tenant, subject, key, address)


@dataclass(slots=True)
class Pending:
    """An entry on its way. `tried` says that it may be in the database already, by its id."""

    entry: AuditEntry
    id: str
    by: ActorReference
    tried: bool = False


class AuditSink(ScriptSink[Pending]):
    """The records writer's way into the chain, whose head is locked last in every transaction. `holder` is the name of
    this process and of no other. `began` is set when a chain was begun, which no checkpoint names yet."""

    turn = 100

    def __init__(self, actors: Actors, holder: str) -> None:
        self._actors = actors
        self._holder = holder
        self._chain = FIRST_CHAIN
        self._end: ChainHead | None = None
        self._expected: ChainHead | None = None
        self.began = asyncio.Event()

    def pending(self, entry: AuditEntry) -> Pending:
        return Pending(entry, new_id("aud"), self._actors.refer(entry.actor))

    def steps(self, items: Sequence[Pending]) -> Sequence[Step] | None:
        """Known as long as nobody else appends to this process's chain, and nothing is undone."""
        if self._end is None or any(item.tried or not item.by.stored for item in items):
            return None
        for item in items:
            item.tried = True
        self._expected = self._end
        return [(_LOCK_HEAD, [{"row": self._chain, "by": self._holder}]), *self._linked(self._end, items)]

    def check(self, found: list[Rows]) -> None:
        """Raises Outdated where the chain ends otherwise than was thought."""
        [rows] = found
        if self._expected is None or rows != [(self._expected.sequence, self._expected.hash)]:
            raise Outdated

    async def append(self, connection: AsyncConnection, entries: Sequence[AuditEntry]) -> None:
        """Append in the transaction of what the entries record, such as an administrator's change."""
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
        head = await self._head(connection)
        await execute_all(connection, self._linked(head, new))

    def _linked(self, head: ChainHead, items: Sequence[Pending]) -> Sequence[Step]:
        """The statements that append items after the head."""
        chain, sequence, last = self._chain, head.sequence, head.hash
        records: list[Values] = []
        content: list[Values] = []
        for item in items:
            sequence += 1
            row = self._content(item, chain, sequence)
            hashed = content_hash(str(row["salt"]), str(row["data"])) if row else ""
            made = link(chain, last, sequence, item.entry, item.id, item.by.ref, hashed)
            last = made.hash
            records.append(
                {
                    "chain": chain, "sequence": sequence, "id": item.id, "time": item.entry.time,
                    "tenant": item.by.actor.tenant, "actor": item.by.ref, "record": made.record,
                    "previous": made.previous, "hash": made.hash,
                }
            )  # fmt: skip
            if row:
                content.append(row)
        self._end = ChainHead(sequence, last)
        moved = {"row": chain, "to": sequence, "last": last, "until": time.time() + HELD_SECONDS}
        said = [(_INSERT_CONTENT, content)] if content else []
        return [(_INSERT_RECORDS, records), *said, (_MOVE_HEAD, [moved])]

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

    async def release(self, connection: AsyncConnection) -> None:
        """Let the next process have the chain at once."""
        mine = (HEAD.c.id == self._chain) & (HEAD.c.holder == self._holder)
        await connection.execute(update(HEAD).where(mine).values(expires=0))

    async def _head(self, connection: AsyncConnection) -> ChainHead:
        """The end of this process's chain, locked. Another one where somebody else has it by now, which a process
        that stood still may find, and where an earlier transaction that took it was undone."""
        while not (rows := await _LOCK_HEAD.fetch(connection, {"row": self._chain, "by": self._holder})):
            self._chain = await self._take(connection) or await self._begin(connection) or self._chain
        [(sequence, last)] = rows
        return ChainHead(sequence, last)

    async def _take(self, connection: AsyncConnection) -> int | None:
        """A chain that nobody holds."""
        now = time.time()
        free = select(HEAD.c.id).where(HEAD.c.expires < now).order_by(HEAD.c.id).limit(1)
        chain: int | None = (await connection.execute(free.with_for_update(skip_locked=True))).scalar()
        if chain is not None:
            taken = update(HEAD).where(HEAD.c.id == chain).values(holder=self._holder, expires=now + HELD_SECONDS)
            await connection.execute(taken)
        return chain

    async def _begin(self, connection: AsyncConnection) -> int | None:
        """A new chain; None where another process has begun it at the same moment."""
        ends = select(func.max(HEAD.c.id)), select(func.max(RECORDS.c.chain))
        last = max([(await connection.execute(end)).scalar() or 0 for end in ends])
        row = {
            "id": last + 1, "sequence": 0, "hash": GENESIS, "base_sequence": 0, "base_hash": GENESIS,
            "holder": self._holder, "expires": time.time() + HELD_SECONDS,
        }  # fmt: skip
        if (await connection.execute(insert_new(HEAD).values(row))).rowcount != 1:
            return None
        self.began.set()
        return last + 1

    def _content(self, item: Pending, chain: int, sequence: int) -> dict[str, object] | None:
        if item.entry.content is None:
            return None
        return {
            "chain": chain, "sequence": sequence, "tenant": item.by.actor.tenant, "time": item.entry.time,
            "actor": item.by.ref, "salt": new_salt(), "data": content_json(item.entry.content),
        }  # fmt: skip
