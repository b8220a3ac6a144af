"""Data rights as the admin API has them: exports, and erasures on record, so that one which broke off is resumed.

DataSubject data is erased is on record only while it is under way.
"""

import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Row, Update, insert, select, update

from gateway.audit.entry import Actor, AuditEntry, Decision
from gateway.audit.log import AuditLog
from gateway.metadata import new_id
from gateway.privacy.model import Counts, DataSource, DataSubject
from gateway.privacy.tables import ERASURES
from services.runtime.errors import DomainError
from services.runtime.records.database import Database

RUNNING, DONE = "running", "done"
log = logging.getLogger(__name__)
SAVE_SECONDS = 5.0
# Drops what this process remembers of them.
Forget = Callable[[DataSubject], None]


@dataclass(slots=True)
class ErasureState:
    """`done`: the sources that are through. `counts`: what was erased, by kind."""

    id: str
    whose: DataSubject
    done: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


class ErasureStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, whose: DataSubject) -> ErasureState:
        """The erasure of theirs that is under way, or a new one."""
        same = (ERASURES.c.tenant == whose.tenant) & (ERASURES.c.subject == whose.subject)
        query = select(ERASURES).where(same, ERASURES.c.state == RUNNING).limit(1)
        async with self._database.write() as connection:
            running = (await connection.execute(query)).one_or_none()
            if running is not None:
                return _erasure(running)
            made = ErasureState(new_id("era"), whose)
            now = time.time()
            row = {"id": made.id, "tenant": whose.tenant, "subject": whose.subject, "state": RUNNING, "done": "[]",
                   "counts": "{}", "create_time": now, "update_time": now}  # fmt: skip
            await connection.execute(insert(ERASURES).values(**row))
        return made

    async def save(self, erasure: ErasureState) -> None:
        """How far it is; it says that somebody is at it, too."""
        async with self._database.write() as connection:
            await connection.execute(_this(erasure.id).values(**_progress(erasure)))

    async def end(self, erasure: ErasureState) -> None:
        """It is through; of whom it was is forgotten."""
        async with self._database.write() as connection:
            await connection.execute(_this(erasure.id).values(**_progress(erasure), state=DONE, subject=""))

    async def abandoned(self, seconds: float) -> Sequence[ErasureState]:
        """Those that nobody has been at for so long."""
        stale = ERASURES.c.update_time < time.time() - seconds
        async with self._database.read() as connection:
            rows = await connection.execute(select(ERASURES).where(ERASURES.c.state == RUNNING, stale).limit(100))
            return [_erasure(row) for row in rows]


def _this(erasure_id: str) -> Update:
    return update(ERASURES).where(ERASURES.c.id == erasure_id)


def _progress(erasure: ErasureState) -> Mapping[str, object]:
    done, counts = orjson.dumps(erasure.done).decode(), orjson.dumps(erasure.counts).decode()
    return {"done": done, "counts": counts, "update_time": time.time()}


def _erasure(row: "Row[Any]") -> ErasureState:
    return ErasureState(row.id, DataSubject(row.tenant, row.subject), orjson.loads(row.done), orjson.loads(row.counts))


@dataclass(frozen=True, slots=True)
class ErasureProgress:
    """How far an erasure is: `erased` of `kind` so far. `done` is set on the last, which has no kind."""

    erasure: str
    kind: str = ""
    erased: int = 0
    done: bool = False


class Privacy:
    """`sources` in the order in which they are erased: what others are found by comes last. `caches` are called when
    all is erased."""

    def __init__(
        self, erasures: ErasureStore, sources: Sequence[DataSource], audit: AuditLog, caches: Sequence[Forget] = ()
    ) -> None:
        self._erasures = erasures
        self._sources = sources
        self._audit = audit
        self._caches = caches

    async def export(
        self, tenant: str, subject: str | None = None, actor: Actor | None = None
    ) -> AsyncGenerator[dict[str, object], None]:
        """All that is kept, an item at a time; each has a "kind". `actor` is who asked, for the audit."""
        whose = DataSubject(tenant, subject or "")
        await self._audit.record(_entry("data.export", whose, actor))
        for source in self._sources:
            async with aclosing(source.export(whose)) as items:
                async for item in items:
                    yield item

    async def erase(
        self, tenant: str, subject: str | None = None, actor: Actor | None = None
    ) -> AsyncGenerator[ErasureProgress, None]:
        """Erase it. Raises DomainError where a part cannot be reached; asked again, it goes on with that part, and if
        nobody asks, the leader among the replicas does."""
        whose = DataSubject(tenant, subject or "")
        erasure = await self._erasures.begin(whose)
        await self._audit.record(_entry("data.erase", whose, actor, erasure=erasure.id, state="begun"))
        async with aclosing(self._erase(erasure, actor)) as steps:
            async for step in steps:
                yield step

    async def resume(self, seconds: float) -> int:
        """Go on with erasures that nobody has been at for so long; how many are through."""
        ended = 0
        for erasure in await self._erasures.abandoned(seconds):
            async with aclosing(self._erase(erasure, None)) as steps:
                async for step in steps:
                    ended += step.done
        return ended

    async def _erase(self, erasure: ErasureState, actor: Actor | None) -> AsyncGenerator[ErasureProgress, None]:
        for source in self._sources:
            if source.name in erasure.done:
                continue
            try:
                async with aclosing(self._part(erasure, source)) as steps:
                    async for step in steps:
                        yield step
            except DomainError as error:
                log.warning(
                    "an erasure broke off", extra={"erasure": erasure.id, "at": source.name, "why": error.reason}
                )
                await self._erasures.save(erasure)
                raise
            erasure.done.append(source.name)
            await self._erasures.save(erasure)
        for forget in self._caches:
            forget(erasure.whose)
        counts = {kind: str(count) for kind, count in erasure.counts.items() if count}
        entry = _entry("data.erase", erasure.whose, actor, erasure=erasure.id, state="done", **counts)
        await self._audit.record(entry)
        await self._erasures.end(erasure)
        yield ErasureProgress(erasure.id, done=True)

    async def _part(self, erasure: ErasureState, source: DataSource) -> AsyncGenerator[ErasureProgress, None]:
        before, saved = dict(erasure.counts), time.monotonic()
        reported: dict[str, int] = {}
        async with aclosing(source.erase(erasure.whose)) as parts:
            async for counts in parts:
                for kind, count in _changed(counts, reported):
                    reported[kind] = count
                    erasure.counts[kind] = before.get(kind, 0) + count
                    yield ErasureProgress(erasure.id, kind, erasure.counts[kind])
                if time.monotonic() - saved > SAVE_SECONDS:
                    await self._erasures.save(erasure)
                    saved = time.monotonic()


def _changed(counts: Counts, reported: Counts) -> list[tuple[str, int]]:
    return [(kind, count) for kind, count in counts.items() if reported.get(kind) != count]


def _entry(action: str, whose: DataSubject, actor: Actor | None, **details: str) -> AuditEntry:
    """Says that it was a person, and not which: the audit is to forget it too."""
    details = {"of": "subject" if whose.subject else "tenant", **details}
    return AuditEntry(action, Decision.ALLOWED, actor or Actor(whose.tenant, "headworks/privacy"), details=details)
