"""The record of runs, shared by all replicas: what each is, what it was asked, and its events."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import orjson
from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy import Row as TableRow
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.event import Event, FinishReason, UsageReported
from services.orchestrator.runs.access import Viewer
from services.orchestrator.runs.agent import RunInput
from services.orchestrator.runs.codec import decode, decode_all, decode_ask
from services.orchestrator.runs.run import RunInfo, RunState
from services.orchestrator.runs.statements import LEASES, Fenced
from services.orchestrator.schema.tables import EVENTS, MESH, REPLICAS, RUNS
from services.runtime.records.database import Database
from services.runtime.records.lease import Held, LeaseWatch
from services.runtime.records.mesh import lock

UNDER_WAY = (int(RunState.RUNNING), int(RunState.WAITING))
PRUNED_AT_ONCE = 200
_NOT_SHOWN = ("owner", "detached", "seconds", "expires", "ask", "refresh_token")
_INFO = [column for column in RUNS.c if column.key not in _NOT_SHOWN]


@dataclass(frozen=True, slots=True)
class Left:
    """A run that a dead replica left under way. `seconds` is what it had left when it was last written."""

    info: RunInfo
    ask: RunInput | None
    refresh_token: str
    detached: bool
    seconds: float
    expires: float | None


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are listed: in this state, of this session; all where empty."""

    state: RunState | None = None
    session_id: str = ""


class RunRecords:
    """`incarnation` is this process among all that had the replica's name. Of those with its name, one of the same
    `place` was before it, and one of another, or of none, may live until its lease of `lease` seconds has ended. All
    methods raise RecordsUnavailable."""

    def __init__(
        self, database: Database, replica: str, retained: int, *, place: str = "", lease: float = 10.0
    ) -> None:
        self.database = database
        self.replica = replica
        self.incarnation = ""
        self._retained = retained
        self._place = place
        self._namesakes = LeaseWatch(lease)

    async def join(self, *, restarted: bool = True) -> Mapping[str, Held]:
        """Become a replica that lives, under a new incarnation. A process that has `restarted` gives up those of its
        name before it, and has their runs; one that was given up itself has no such claim.

        While others of its name may live it does not join, and those are returned: ask again.
        """
        incarnation = f"{self.replica}/{uuid.uuid4().hex}"
        if self._place:
            incarnation = f"{self.replica}/{self._place}.{uuid.uuid4().hex}"
        async with self.database.write() as connection:
            await lock(connection, MESH)
            if living := await self._living(connection, restarted=restarted):
                return living
            await LEASES.take(connection, incarnation, self.replica)
            if restarted:
                await self._succeed(connection, incarnation)
        self.incarnation = incarnation
        return {}

    async def _living(self, connection: AsyncConnection, *, restarted: bool) -> Mapping[str, Held]:
        """The leases of others with this name that have not ended. One who was given up knows of no predecessors."""
        before = f"{self.replica}/{self._place}." if self._place and restarted else None
        named = {
            name: held
            for name, held in (await LEASES.read(connection)).items()
            if held.holder == self.replica and not (before and name.startswith(before))
        }
        ended = self._namesakes.expired(named)
        return {name: held for name, held in named.items() if name not in ended}

    async def _succeed(self, connection: AsyncConnection, incarnation: str) -> None:
        await LEASES.succeed(connection, incarnation, self.replica)
        lost = (RUNS.c.replica == self.replica) & RUNS.c.owner.not_in(select(REPLICAS.c.name))
        taken = update(RUNS).where(lost, RUNS.c.state.in_(UNDER_WAY)).values(owner=incarnation)
        await connection.execute(taken)

    async def leave(self, incarnation: str) -> None:
        """Die in peace: the others need not wait before they take up the runs."""
        async with self.database.write() as connection:
            await LEASES.resign(connection, incarnation, self.replica)

    async def beat(self, incarnation: str) -> dict[str, Held]:
        """Renew this replica's lease; the leases of all others, by incarnation. Raises Fenced."""
        async with self.database.write() as connection:
            if not await LEASES.renew(connection, incarnation, self.replica):
                raise Fenced
            leases = await LEASES.read(connection)
        del leases[incarnation]
        return leases

    async def claim(self, dead: str, held: Held) -> bool:
        """Revoke the lease of a replica that is dead and take its runs; False where it lives or another did so."""
        async with self.database.write() as connection:
            if not await LEASES.revoke(connection, dead, held):
                return False
            theirs = (RUNS.c.owner == dead) & RUNS.c.state.in_(UNDER_WAY)
            await connection.execute(update(RUNS).where(theirs).values(owner=self.incarnation, replica=self.replica))
            return True

    async def left(self, known: Iterable[str]) -> list[Left]:
        """The runs under way that are this replica's by the record, but not among those it knows."""
        query = select(RUNS).where(RUNS.c.owner == self.incarnation, RUNS.c.state.in_(UNDER_WAY))
        known = set(known)
        async with self.database.read() as connection:
            rows = (await connection.execute(query.order_by(RUNS.c.create_time))).all()
        return [_left(row) for row in rows if row.id not in known]

    async def get(self, tenant: str, run_id: str) -> RunInfo | None:
        """A run of the tenant's."""
        query = select(*_INFO).where(RUNS.c.id == run_id, RUNS.c.tenant == tenant)
        async with self.database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return _info(row) if row else None

    async def events(self, run_id: str, after: int = 0, limit: int | None = None) -> list[Event]:
        """Stored events with a sequence number over `after`, at most about `limit`: rows are read whole."""
        query = (
            select(EVENTS.c.data)
            .where(EVENTS.c.run_id == run_id, EVENTS.c.last > after)
            .order_by(EVENTS.c.first)
            .limit(limit)
        )
        async with self.database.read() as connection:
            rows = (await connection.execute(query)).scalars().all()
        return await decode_all(partial(_events, after=after, limit=limit), rows)

    async def newest(
        self, viewer: Viewer, limit: int, before: tuple[float, str] | None, of: RunFilter
    ) -> list[RunInfo]:
        """The runs that the viewer sees, newest first, from the one after (create time, id) `before`."""
        query = select(*_INFO).where(RUNS.c.tenant == viewer.tenant)
        if not viewer.others:
            seen = RUNS.c.subject == viewer.subject
            query = query.where(seen | (RUNS.c.state == int(RunState.WAITING)) if viewer.decides else seen)
        if before is not None:
            created, run_id = before
            older: ColumnElement[bool] = RUNS.c.create_time < created
            query = query.where(older | ((RUNS.c.create_time == created) & (RUNS.c.id < run_id)))
        if of.state is not None:
            query = query.where(RUNS.c.state == int(of.state))
        if of.session_id:
            query = query.where(RUNS.c.session_id == of.session_id)
        query = query.order_by(RUNS.c.create_time.desc(), RUNS.c.id.desc()).limit(limit)
        async with self.database.read() as connection:
            return [_info(row) for row in await connection.execute(query)]

    async def prune(self) -> int:
        """Forget this replica's oldest finished runs beyond those retained, a few at a time; how many."""
        mine = select(RUNS.c.id).where(RUNS.c.replica == self.replica, RUNS.c.state.not_in(UNDER_WAY))
        old = mine.order_by(RUNS.c.create_time.desc()).offset(self._retained).limit(PRUNED_AT_ONCE)
        async with self.database.read() as connection:
            ids = list((await connection.execute(old)).scalars())
        if ids:
            async with self.database.write() as connection:
                await connection.execute(delete(EVENTS).where(EVENTS.c.run_id.in_(ids)))
                await connection.execute(delete(RUNS).where(RUNS.c.id.in_(ids)))
        return len(ids)


def pending_text(pending: Sequence[str]) -> str:
    return orjson.dumps(pending).decode()


def _events(rows: Sequence[bytes], after: int, limit: int | None) -> list[Event]:
    events: list[Event] = []
    for data in rows:
        events += decode(data)
        if limit is not None and len(events) >= limit:
            break
    return [event for event in events if event.sequence > after]


def _info(row: "TableRow[tuple[object, ...]]") -> RunInfo:
    return RunInfo(
        id=row.id,
        tenant=row.tenant,
        model=row.model,
        collection=row.collection,
        state=RunState(row.state),
        finish_reason=FinishReason(row.finish_reason) if row.finish_reason else None,
        last_sequence=row.last_sequence,
        create_time=row.create_time,
        end_time=row.end_time,
        usage=UsageReported(
            row.prompt_tokens, row.completion_tokens, row.cached_tokens, row.cost_nanos, row.reasoning_tokens
        ),
        agent_version=row.agent_version,
        session_id=row.session_id,
        pending=tuple(orjson.loads(row.pending)),
        replica=row.replica,
        subject=row.subject,
    )


def _left(row: "TableRow[tuple[object, ...]]") -> Left:
    try:
        ask = decode_ask(row.ask) if row.ask else None
    except ValueError:
        ask = None
    return Left(_info(row), ask, row.refresh_token or "", bool(row.detached), row.seconds, row.expires)
