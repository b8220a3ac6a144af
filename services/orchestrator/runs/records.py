"""The record of runs, shared by all replicas: what each is, what it was asked, and its events. All methods block."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import ColumnElement, Connection, delete, insert, select, update
from sqlalchemy import Row as TableRow
from sqlalchemy.pool import PoolProxiedConnection

from services.orchestrator.runs.agent import Ask
from services.orchestrator.runs.codec import decode, decode_ask
from services.orchestrator.runs.events import Event, FinishReason, UsageReported
from services.orchestrator.runs.run import RunInfo, State
from services.orchestrator.runs.statements import Batch, Statements
from services.orchestrator.runs.tables import EVENTS, REPLICAS, RUNS, make, open_engine

UNDER_WAY = (int(State.RUNNING), int(State.WAITING))
PRUNED_AT_ONCE = 200
# Of SQLite's write-ahead log: 64 MiB.
LOG_PAGES = 16_384
_NOT_SHOWN = ("owner", "detached", "seconds", "expires", "ask", "refresh_token", "subject")
_INFO = [column for column in RUNS.c if column.key not in _NOT_SHOWN]


class Unwritable(Exception):
    """The database refuses what is to be written, and always will."""


class Fenced(Exception):
    """This replica was given up by the others, who have taken its runs."""


@dataclass(frozen=True, slots=True)
class Left:
    """A run that a dead replica left under way. `seconds` is what it had left when it was last written."""

    info: RunInfo
    ask: Ask | None
    refresh_token: str
    detached: bool
    seconds: float
    expires: float | None
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which runs are listed: in this state, of this session; all where empty."""

    state: State | None = None
    session_id: str = ""


class Records:
    """SQLite by default, PostgreSQL by its URL. `incarnation` is this process among all that had the replica's name."""

    def __init__(self, url: str, replica: str, retained: int, *, log_pages: int = LOG_PAGES) -> None:
        self.engine = open_engine(url)
        self.replica = replica
        self.incarnation = ""
        self._retained = retained
        self._log_pages = log_pages
        self._statements = Statements(self.engine)
        self._connection: PoolProxiedConnection | None = None

    def open(self) -> None:
        """Make the tables."""
        make(self.engine)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self.engine.dispose()

    def checkpoint(self) -> None:
        """SQLite: move its write-ahead log into the database, without keeping writers waiting, unless the log has grown
        so large that they must."""
        if self.engine.dialect.name != "sqlite":
            return
        with self.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").one()[1]
            if pages > self._log_pages:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def join(self, *, restarted: bool = True) -> None:
        """Become a replica that lives, under a new incarnation. A process that has `restarted` gives up those of its
        name before it, and has their runs; one that was given up itself has no such claim."""
        incarnation = f"{self.replica}/{uuid.uuid4().hex}"
        with self.engine.begin() as connection:
            connection.execute(insert(REPLICAS).values(incarnation=incarnation, name=self.replica, beat=0))
            if restarted:
                self._succeed(connection, incarnation)
        self.incarnation = incarnation

    def _succeed(self, connection: Connection, incarnation: str) -> None:
        mine = (REPLICAS.c.name == self.replica) & (REPLICAS.c.incarnation != incarnation)
        connection.execute(delete(REPLICAS).where(mine))
        lost = (RUNS.c.replica == self.replica) & RUNS.c.owner.not_in(select(REPLICAS.c.incarnation))
        taken = update(RUNS).where(lost, RUNS.c.state.in_(UNDER_WAY)).values(owner=incarnation)
        connection.execute(taken)

    def leave(self, incarnation: str) -> None:
        """Die in peace: the others need not wait before they take up the runs."""
        with self.engine.begin() as connection:
            connection.execute(update(REPLICAS).where(REPLICAS.c.incarnation == incarnation).values(beat=-1))

    def beat(self, incarnation: str) -> dict[str, int]:
        """Say that this replica lives; gives the beats of all others, by incarnation. Raises Fenced."""
        with self.engine.begin() as connection:
            own = REPLICAS.c.incarnation == incarnation
            if connection.execute(update(REPLICAS).where(own).values(beat=REPLICAS.c.beat + 1)).rowcount != 1:
                raise Fenced(incarnation)
            rows = connection.execute(select(REPLICAS.c.incarnation, REPLICAS.c.beat).where(~own))
            return {row.incarnation: row.beat for row in rows}

    def claim(self, dead: str, beat: int) -> bool:
        """Give up a replica whose last beat was `beat`, and take its runs; False where it lives or another did so."""
        with self.engine.begin() as connection:
            silent = (REPLICAS.c.incarnation == dead) & (REPLICAS.c.beat == beat)
            if connection.execute(delete(REPLICAS).where(silent)).rowcount != 1:
                return False
            theirs = (RUNS.c.owner == dead) & RUNS.c.state.in_(UNDER_WAY)
            connection.execute(update(RUNS).where(theirs).values(owner=self.incarnation, replica=self.replica))
            return True

    def commit(self, batch: Batch, incarnation: str) -> None:
        """Write all or nothing. Raises Fenced, Unwritable, or whatever error the database's driver has. For one thread:
        it keeps a connection of its own and speaks to the driver as it is, which costs a third."""
        connection = self._connection = self._connection or self.engine.raw_connection()
        driver = self.engine.dialect.loaded_dbapi
        try:
            cursor = connection.cursor()
            try:
                alive = self._statements.execute(cursor, batch, incarnation)
            finally:
                cursor.close()
            if alive:
                connection.commit()
                return
            connection.rollback()
        except Exception as error:
            self._connection = None
            connection.invalidate()
            if isinstance(error, driver.IntegrityError | driver.DataError):
                raise Unwritable from error
            raise
        raise Fenced(incarnation)

    def left(self, known: Iterable[str]) -> list[Left]:
        """The runs under way that are this replica's by the record, but not among those it knows."""
        query = select(RUNS).where(RUNS.c.owner == self.incarnation, RUNS.c.state.in_(UNDER_WAY))
        known = set(known)
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(RUNS.c.create_time)).all()
        return [_left(row) for row in rows if row.id not in known]

    def get(self, tenant: str, run_id: str) -> RunInfo | None:
        """A run of the tenant's."""
        query = select(*_INFO).where(RUNS.c.id == run_id, RUNS.c.tenant == tenant)
        with self.engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return _info(row) if row else None

    def events(self, run_id: str, after: int = 0, limit: int = 1 << 31) -> list[Event]:
        """Stored events with a sequence number over `after`, at most about `limit`: rows are read whole."""
        query = (
            select(EVENTS.c.first, EVENTS.c.last, EVENTS.c.data)
            .where(EVENTS.c.run_id == run_id, EVENTS.c.last > after)
            .order_by(EVENTS.c.first)
            .limit(limit)
        )
        found: list[Event] = []
        with self.engine.connect() as connection:
            for _, _, data in connection.execute(query):
                found += decode(data)
                if len(found) >= limit:
                    break
        return [event for event in found if event.sequence > after]

    def newest(self, tenant: str, limit: int, before: tuple[float, str] | None, of: Filter) -> list[RunInfo]:
        """The tenant's runs, newest first, from the one after (create time, id) `before`."""
        query = select(*_INFO).where(RUNS.c.tenant == tenant)
        if before is not None:
            created, run_id = before
            older: ColumnElement[bool] = RUNS.c.create_time < created
            query = query.where(older | ((RUNS.c.create_time == created) & (RUNS.c.id < run_id)))
        if of.state is not None:
            query = query.where(RUNS.c.state == int(of.state))
        if of.session_id:
            query = query.where(RUNS.c.session_id == of.session_id)
        query = query.order_by(RUNS.c.create_time.desc(), RUNS.c.id.desc()).limit(limit)
        with self.engine.connect() as connection:
            return [_info(row) for row in connection.execute(query)]

    def prune(self) -> int:
        """Forget this replica's oldest finished runs beyond those retained, a few at a time; how many."""
        mine = select(RUNS.c.id).where(RUNS.c.replica == self.replica, RUNS.c.state.not_in(UNDER_WAY))
        old = mine.order_by(RUNS.c.create_time.desc()).offset(self._retained).limit(PRUNED_AT_ONCE)
        with self.engine.connect() as connection:
            ids = list(connection.execute(old).scalars())
        if ids:
            with self.engine.begin() as connection:
                connection.execute(delete(EVENTS).where(EVENTS.c.run_id.in_(ids)))
                connection.execute(delete(RUNS).where(RUNS.c.id.in_(ids)))
        return len(ids)


def pending_text(pending: Sequence[str]) -> str:
    return orjson.dumps(pending).decode()


def _info(row: "TableRow[tuple[object, ...]]") -> RunInfo:
    return RunInfo(
        id=row.id,
        tenant=row.tenant,
        model=row.model,
        collection=row.collection,
        state=State(row.state),
        finish_reason=FinishReason(row.finish_reason) if row.finish_reason else None,
        last_sequence=row.last_sequence,
        create_time=row.create_time,
        end_time=row.end_time,
        usage=UsageReported(row.prompt_tokens, row.completion_tokens, row.cached_tokens, row.cost_nanos),
        agent_version=row.agent_version,
        session_id=row.session_id,
        pending=tuple(orjson.loads(row.pending)),
        replica=row.replica,
    )


def _left(row: "TableRow[tuple[object, ...]]") -> Left:
    try:
        ask = decode_ask(row.ask) if row.ask else None
    except ValueError:
        ask = None
    return Left(_info(row), ask, row.refresh_token or "", bool(row.detached), row.seconds, row.expires, row.subject)
