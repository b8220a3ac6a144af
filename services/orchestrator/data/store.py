"""What is kept of a person, or of a tenant, in the database of runs.

A person's are the runs that they started, the sessions in which nobody else spoke, and their own runs' messages in the
others. An empty subject is the whole tenant.
"""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, delete, exists, func, insert, select, update

from services.llm.chat import Message
from services.orchestrator.runs.agent import RunInput
from services.orchestrator.runs.codec import decode_all, decode_ask, decode_messages
from services.orchestrator.runs.records import UNDER_WAY
from services.orchestrator.schema.tables import EVENTS, MESSAGES, RUNS, SESSIONS
from services.orchestrator.sessions.store import BEGUN_SECONDS
from services.runtime.records.database import Database
from services.runtime.records.secure_delete import erasing

AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class DataSubject:
    """Of a person of the tenant, or of all; only what was there before a time, in seconds since the epoch, if set."""

    tenant: str
    subject: str = ""
    before: float | None = None


class DataStore:
    """All methods raise RecordsUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def under_way(self, whose: DataSubject) -> Sequence[str]:
        """Runs that have to end before they can be erased."""
        query = select(RUNS.c.id).where(_runs(whose), RUNS.c.state.in_(UNDER_WAY)).limit(AT_ONCE)
        async with self._database.read() as connection:
            return list((await connection.execute(query)).scalars())

    async def runs(self, whose: DataSubject) -> AsyncIterator[tuple[str, str, RunInput | None]]:
        """The ids of runs, with who asked and what."""
        query = select(RUNS.c.id, RUNS.c.subject, RUNS.c.ask).where(_runs(whose)).order_by(RUNS.c.id).limit(AT_ONCE)
        after = ""
        while True:
            async with self._database.read() as connection:
                rows = (await connection.execute(query.where(RUNS.c.id > after))).all()
            for row in rows:
                yield row.id, row.subject, _ask(row.ask)
            if len(rows) < AT_ONCE:
                return
            after = rows[-1].id

    async def sessions(self, whose: DataSubject) -> Sequence[str]:
        """The ids of sessions in which the person spoke."""
        query = select(SESSIONS.c.id).where(SESSIONS.c.tenant == whose.tenant)
        if whose.subject:
            query = query.where(exists().where(_spoke(whose)))
        async with self._database.read() as connection:
            return list((await connection.execute(query.order_by(SESSIONS.c.id))).scalars())

    async def messages(self, whose: DataSubject, session_id: str) -> Sequence[Message]:
        """What the person's runs added to a session, the oldest first."""
        of_session = and_(MESSAGES.c.tenant == whose.tenant, MESSAGES.c.session_id == session_id)
        query = select(MESSAGES.c.data).where(of_session).order_by(MESSAGES.c.number)
        if whose.subject:
            query = query.where(MESSAGES.c.subject == whose.subject)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).scalars().all()
        return await decode_all(decode_messages, rows)

    async def erase_runs(self, whose: DataSubject) -> int:
        """Erase some runs that are over; how many."""
        over = select(RUNS.c.id).where(_runs(whose), RUNS.c.state.not_in(UNDER_WAY)).limit(AT_ONCE)
        async with erasing(self._database) as connection:
            ids = list((await connection.execute(over)).scalars())
            if ids:
                await connection.execute(delete(EVENTS).where(EVENTS.c.run_id.in_(ids)))
                await connection.execute(delete(RUNS).where(RUNS.c.id.in_(ids)))
        return len(ids)

    async def erase_sessions(self, whose: DataSubject) -> tuple[int, int]:
        """Erase some sessions that are only the person's and that no run holds; how many, and how many messages."""
        free = [SESSIONS.c.tenant == whose.tenant, ~_held()]
        if whose.subject:
            others = exists().where(_of_session(), MESSAGES.c.subject != whose.subject)
            free += [exists().where(_spoke(whose)), ~others]
        if whose.before is not None:
            free.append(SESSIONS.c.update_time < whose.before)
        async with erasing(self._database) as connection:
            query = select(SESSIONS.c.id).where(*free).limit(AT_ONCE).with_for_update()
            ids = list((await connection.execute(query)).scalars())
            if not ids:
                return 0, 0
            inside = and_(MESSAGES.c.tenant == whose.tenant, MESSAGES.c.session_id.in_(ids))
            messages = (await connection.execute(delete(MESSAGES).where(inside))).rowcount
            await connection.execute(delete(SESSIONS).where(SESSIONS.c.tenant == whose.tenant, SESSIONS.c.id.in_(ids)))
        return len(ids), messages

    async def erase_words(self, whose: DataSubject, session_id: str) -> int | None:
        """Erase a person's messages from a session of several people, and its summary, which may tell of them; how
        many, or None while a run holds the session."""
        this = and_(SESSIONS.c.tenant == whose.tenant, SESSIONS.c.id == session_id)
        inside = and_(MESSAGES.c.tenant == whose.tenant, MESSAGES.c.session_id == session_id)
        async with erasing(self._database) as connection:
            free = await connection.execute(select(SESSIONS.c.id).where(this, ~_held()).with_for_update())
            if free.first() is None:
                return None
            rows = (await connection.execute(select(MESSAGES).where(inside).order_by(MESSAGES.c.number))).all()
            kept = [row for row in rows if row.subject != whose.subject]
            await connection.execute(delete(MESSAGES).where(inside))
            if kept:
                renumbered = [dict(row._mapping) | {"number": number} for number, row in enumerate(kept, 1)]
                await connection.execute(insert(MESSAGES), renumbered)
            await connection.execute(
                update(SESSIONS)
                .where(this)
                .values(
                    message_count=len(kept),
                    summary="",
                    summarised=0,
                    subject=case((SESSIONS.c.subject == whose.subject, ""), else_=SESSIONS.c.subject),
                )
            )
        return len(rows) - len(kept)

    async def left(self, whose: DataSubject) -> int:
        """How many sessions the person still has words in."""
        query = select(func.count()).select_from(SESSIONS).where(SESSIONS.c.tenant == whose.tenant)
        if whose.subject:
            query = query.where(exists().where(_spoke(whose)))
        async with self._database.read() as connection:
            return int((await connection.execute(query)).scalar_one())


def _ask(data: bytes | None) -> RunInput | None:
    """None where an earlier version wrote what this one does not read."""
    try:
        return decode_ask(data) if data else None
    except ValueError:
        return None


def _runs(whose: DataSubject) -> ColumnElement[bool]:
    found = RUNS.c.tenant == whose.tenant
    if whose.subject:
        found &= RUNS.c.subject == whose.subject
    if whose.before is not None:
        found &= RUNS.c.create_time < whose.before
    return found


def _of_session() -> ColumnElement[bool]:
    return and_(MESSAGES.c.tenant == SESSIONS.c.tenant, MESSAGES.c.session_id == SESSIONS.c.id)


def _spoke(whose: DataSubject) -> ColumnElement[bool]:
    return and_(_of_session(), MESSAGES.c.subject == whose.subject)


def _held() -> ColumnElement[bool]:
    """A run that is under way has the session, or one that is about to begin."""
    under_way = exists().where(RUNS.c.id == SESSIONS.c.run_id, RUNS.c.state.in_(UNDER_WAY))
    unknown = SESSIONS.c.run_id.is_not(None) & ~exists().where(RUNS.c.id == SESSIONS.c.run_id)
    return under_way | (unknown & (SESSIONS.c.update_time > time.time() - BEGUN_SECONDS))
