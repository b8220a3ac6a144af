"""Sessions in the database of runs. Messages are added by the runs themselves, when they end."""

import time
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, insert, select, true, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.llm.chat import Message
from services.orchestrator.runs.access import Viewer
from services.orchestrator.runs.codec import decode_all, decode_messages
from services.orchestrator.runs.errors import SessionBusy, SessionNotFound, SessionTaken
from services.orchestrator.runs.records import UNDER_WAY
from services.orchestrator.schema.tables import EVENTS, MESSAGES, RUNS, SESSIONS
from services.runtime.records.database import Database

# A run that was to begin but has no record by now never will have one.
BEGUN_SECONDS = 30.0
DELETED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Session:
    """Times are seconds since the epoch. `subject` is whose it is. `summary` covers the first `summarised` messages."""

    id: str
    create_time: float
    update_time: float
    message_count: int = 0
    summary: str = ""
    summarised: int = 0
    run_id: str | None = None
    subject: str = ""


class SessionStore:
    """All methods raise RecordsUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, viewer: Viewer, session_id: str, run_id: str) -> int:
        """Have the session for a run, made if there is none; gives how many messages it has. Raises SessionBusy, or
        SessionTaken."""
        now, tenant = time.time(), viewer.tenant
        async with self._database.write() as connection:
            free = SESSIONS.c.run_id.is_(None) & _seen(viewer)
            taken = update(SESSIONS).where(_this(tenant, session_id), free).values(run_id=run_id, update_time=now)
            if (await connection.execute(taken)).rowcount == 1:
                return await self._count(connection, tenant, session_id)
        found = await self.find(tenant, session_id)
        if found is None:
            return await self._make(viewer, session_id, run_id, now)
        if not viewer.sees(found.subject):
            raise SessionTaken(session_id)
        if found.run_id is None or not await self._gone(found, now):
            raise SessionBusy(session_id, found.run_id or "")
        async with self._database.write() as connection:
            held = SESSIONS.c.run_id == found.run_id
            taken = update(SESSIONS).where(_this(tenant, session_id), held).values(run_id=run_id, update_time=now)
            if (await connection.execute(taken)).rowcount != 1:
                raise SessionBusy(session_id, found.run_id)
            return await self._count(connection, tenant, session_id)

    async def _make(self, viewer: Viewer, session_id: str, run_id: str, now: float) -> int:
        row = {
            "tenant": viewer.tenant, "id": session_id, "run_id": run_id, "create_time": now, "update_time": now,
            "subject": viewer.subject,
        }  # fmt: skip
        try:
            async with self._database.write() as connection:
                await connection.execute(insert(SESSIONS).values(**row, message_count=0, summary="", summarised=0))
        except IntegrityError as error:
            raise SessionBusy(session_id, "") from error
        return 0

    async def _gone(self, session: Session, now: float) -> bool:
        """The run that has the session is over, or never began."""
        async with self._database.read() as connection:
            row = await connection.execute(select(RUNS.c.state).where(RUNS.c.id == session.run_id))
        state = row.scalar_one_or_none()
        if state is None:
            return now - session.update_time > BEGUN_SECONDS
        return state not in UNDER_WAY

    async def _count(self, connection: AsyncConnection, tenant: str, session_id: str) -> int:
        counted = select(SESSIONS.c.message_count).where(_this(tenant, session_id))
        return int((await connection.execute(counted)).scalar_one())

    async def count(self, tenant: str, session_id: str) -> int:
        """How many messages it has."""
        found = await self.find(tenant, session_id)
        return found.message_count if found else 0

    async def find(self, tenant: str, session_id: str) -> Session | None:
        async with self._database.read() as connection:
            row = (await connection.execute(_QUERY.where(_this(tenant, session_id)))).one_or_none()
        return Session(**row._mapping) if row else None

    async def get(self, viewer: Viewer, session_id: str) -> Session:
        """Raises SessionNotFound, also for one that is not the viewer's to see."""
        found = await self.find(viewer.tenant, session_id)
        if found is None or not viewer.sees(found.subject):
            raise SessionNotFound(session_id)
        return found

    async def messages(self, tenant: str, session_id: str, after: int = 0) -> list[Message]:
        """The messages but the first `after`, the oldest first."""
        mine = (MESSAGES.c.tenant == tenant) & (MESSAGES.c.session_id == session_id)
        query = select(MESSAGES.c.data).where(mine, MESSAGES.c.number > after).order_by(MESSAGES.c.number)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).scalars().all()
        return await decode_all(decode_messages, rows)

    async def summarise(self, tenant: str, session_id: str, summary: str, summarised: int) -> None:
        """Keep a summary of the first `summarised` messages, unless there is one of more."""
        older = SESSIONS.c.summarised < summarised
        async with self._database.write() as connection:
            await connection.execute(
                update(SESSIONS).where(_this(tenant, session_id), older).values(summary=summary, summarised=summarised)
            )

    async def latest(self, viewer: Viewer, limit: int, before: tuple[float, str] | None) -> list[Session]:
        """The sessions that the viewer sees, the latest used first, from the one after (update time, id) `before`."""
        query = _QUERY.where(SESSIONS.c.tenant == viewer.tenant, _seen(viewer))
        if before is not None:
            used, session_id = before
            older: ColumnElement[bool] = SESSIONS.c.update_time < used
            query = query.where(older | ((SESSIONS.c.update_time == used) & (SESSIONS.c.id < session_id)))
        query = query.order_by(SESSIONS.c.update_time.desc(), SESSIONS.c.id.desc()).limit(limit)
        async with self._database.read() as connection:
            return [Session(**row._mapping) for row in await connection.execute(query)]

    async def delete(self, viewer: Viewer, session_id: str) -> None:
        """Delete a session, its messages and its runs. Raises SessionNotFound, or SessionBusy."""
        found, tenant = await self.get(viewer, session_id), viewer.tenant
        if found.run_id is not None and not await self._gone(found, time.time()):
            raise SessionBusy(session_id, found.run_id)
        async with self._database.write() as connection:
            unchanged = SESSIONS.c.run_id == found.run_id if found.run_id else SESSIONS.c.run_id.is_(None)
            deleted = await connection.execute(delete(SESSIONS).where(_this(tenant, session_id), unchanged))
            if deleted.rowcount != 1:
                raise SessionBusy(session_id, "")
            mine = (MESSAGES.c.tenant == tenant) & (MESSAGES.c.session_id == session_id)
            await connection.execute(delete(MESSAGES).where(mine))
            of_session = (RUNS.c.tenant == tenant) & (RUNS.c.session_id == session_id)
            runs = list((await connection.execute(select(RUNS.c.id).where(of_session))).scalars())
            for start in range(0, len(runs), DELETED_AT_ONCE):
                some = runs[start : start + DELETED_AT_ONCE]
                await connection.execute(delete(EVENTS).where(EVENTS.c.run_id.in_(some)))
                await connection.execute(delete(RUNS).where(RUNS.c.id.in_(some)))


_QUERY = select(
    SESSIONS.c.id,
    SESSIONS.c.create_time,
    SESSIONS.c.update_time,
    SESSIONS.c.message_count,
    SESSIONS.c.summary,
    SESSIONS.c.summarised,
    SESSIONS.c.run_id,
    SESSIONS.c.subject,
)


def _seen(viewer: Viewer) -> ColumnElement[bool]:
    return true() if viewer.others else SESSIONS.c.subject == viewer.subject


def _this(tenant: str, session_id: str) -> ColumnElement[bool]:
    return (SESSIONS.c.tenant == tenant) & (SESSIONS.c.id == session_id)
