"""The record of runs, shared by all replicas: what each run is, and its events once it is over.

Written behind the runs by one thread, all of a tenth of a second in one transaction; a run never waits for the
database. Where the writer cannot keep up, records of runs under way are dropped first, and what is dropped is counted.
"""

import logging
import queue
import threading
import time
from collections.abc import Sequence

from sqlalchemy import (
    Column,
    Engine,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    event,
    select,
    update,
)  # fmt: skip
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from services.orchestrator import metrics
from services.orchestrator.runs.codec import decode, encode
from services.orchestrator.runs.events import Event, FinishReason, UsageReported
from services.orchestrator.runs.run import RunInfo, State

log = logging.getLogger(__name__)

BATCH = 512
QUEUE = 20_000
LINGER_SECONDS = 0.1
RETRY_SECONDS = 1.0
RETRIES = 5

_metadata = MetaData()
_runs = Table(
    "runs",
    _metadata,
    Column("id", String(128), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("replica", String(128), nullable=False),
    Column("model", String(128), nullable=False),
    Column("collection", String(128), nullable=False),
    Column("state", Integer, nullable=False),
    Column("finish_reason", Integer),
    Column("last_sequence", Integer, nullable=False),
    Column("create_time", Float, nullable=False),
    Column("end_time", Float),
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    Column("events", LargeBinary),
    Index("runs_by_tenant", "tenant", "create_time", "id"),
    Index("runs_by_state", "replica", "state"),
)
_INFO = [column for column in _runs.c if column.name not in ("replica", "events")]

Row = dict[str, object]


class Records:
    """Runs in a database: SQLite by default, PostgreSQL by its URL. `retained` finished runs are kept a replica."""

    def __init__(self, url: str, replica: str, retained: int) -> None:
        self._engine = _engine(url)
        self._replica = replica
        self._retained = retained
        self._queue: queue.Queue[tuple[RunInfo, list[Event]] | None] = queue.Queue(QUEUE)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write_behind, name="records", daemon=True)

    def open(self) -> None:
        """Make the table, end the runs that this replica left under way when it died, start the writer. Blocks."""
        _metadata.create_all(self._engine)
        lost = {"state": int(State.FAILED), "finish_reason": int(FinishReason.ERROR), "end_time": time.time()}
        with self._engine.begin() as connection:
            connection.execute(
                update(_runs)
                .where(_runs.c.replica == self._replica, _runs.c.state == int(State.RUNNING))
                .values(**lost)
            )
        self._thread.start()

    def close(self) -> None:
        """Write what is queued and stop. Blocks."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join()
        self._engine.dispose()

    def put(self, info: RunInfo, events: list[Event]) -> None:
        """Queue a run's record; never blocks."""
        if info.state is State.RUNNING and self._queue.qsize() > QUEUE // 2:
            metrics.RECORDS_DROPPED.inc()
            return
        try:
            self._queue.put_nowait((info, events))
        except queue.Full:
            metrics.RECORDS_DROPPED.inc()

    def get(self, tenant: str, run_id: str) -> RunInfo | None:
        """A run of the tenant's. Blocks."""
        query = select(*_INFO).where(_runs.c.id == run_id, _runs.c.tenant == tenant)
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return _info(row._asdict()) if row else None

    def events(self, tenant: str, run_id: str) -> list[Event] | None:
        """The events of a run that is over; None while it is under way. Blocks."""
        query = select(_runs.c.events).where(_runs.c.id == run_id, _runs.c.tenant == tenant)
        with self._engine.connect() as connection:
            data = connection.execute(query).scalar_one_or_none()
        return decode(data) if data else None

    def newest(self, tenant: str, limit: int, before: tuple[float, str] | None) -> list[RunInfo]:
        """The tenant's runs, newest first, from the one after (create time, id) `before`. Blocks."""
        query = select(*_INFO).where(_runs.c.tenant == tenant)
        if before is not None:
            created, run_id = before
            older = (_runs.c.create_time < created) | ((_runs.c.create_time == created) & (_runs.c.id < run_id))
            query = query.where(older)
        query = query.order_by(_runs.c.create_time.desc(), _runs.c.id.desc()).limit(limit)
        with self._engine.connect() as connection:
            return [_info(row._asdict()) for row in connection.execute(query)]

    def _write_behind(self) -> None:
        written = 0
        while True:
            batch, last = self._take()
            self._write(batch)
            written += len(batch)
            if written >= self._retained // 10 + 1:
                self._prune()
                written = 0
            if last:
                return

    def _take(self) -> tuple[dict[str, Row], bool]:
        """The next records, the newest of each run, and whether to stop after them."""
        batch: dict[str, Row] = {}
        item = self._queue.get()
        self._closing.wait(LINGER_SECONDS)
        while item is not None:
            info, events = item
            try:
                batch[info.id] = self._row(info, events)
            except (TypeError, ValueError):
                log.exception("record not encoded", extra={"run_id": info.id})
                metrics.RECORDS_DROPPED.inc()
            if len(batch) >= BATCH:
                return batch, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _row(self, info: RunInfo, events: Sequence[Event]) -> Row:
        over = info.state is not State.RUNNING
        return {
            "id": info.id,
            "tenant": info.tenant,
            "replica": self._replica,
            "model": info.model,
            "collection": info.collection,
            "state": int(info.state),
            "finish_reason": int(info.finish_reason) if info.finish_reason else None,
            "last_sequence": info.last_sequence,
            "create_time": info.create_time,
            "end_time": info.end_time,
            "prompt_tokens": info.usage.prompt_tokens,
            "completion_tokens": info.usage.completion_tokens,
            "events": encode(list(events)) if over else None,
        }

    def _write(self, batch: dict[str, Row]) -> None:
        if not batch:
            return
        insert = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        statement = insert(_runs)
        changes = {column.name: statement.excluded[column.name] for column in _runs.c if not column.primary_key}
        upsert = statement.on_conflict_do_update(index_elements=["id"], set_=changes)
        for attempt in range(RETRIES):
            try:
                with self._engine.begin() as connection:
                    connection.execute(upsert, list(batch.values()))
            except SQLAlchemyError:
                log.exception("records not written", extra={"runs": len(batch), "attempt": attempt + 1})
                self._closing.wait(RETRY_SECONDS)
            else:
                return
        metrics.RECORDS_DROPPED.inc(len(batch))

    def _prune(self) -> None:
        """Forget this replica's oldest finished runs beyond those retained."""
        mine = select(_runs.c.id).where(_runs.c.replica == self._replica, _runs.c.state != int(State.RUNNING))
        old = mine.order_by(_runs.c.create_time.desc()).offset(self._retained).limit(10_000)
        try:
            with self._engine.begin() as connection:
                ids = list(connection.execute(old).scalars())
                for start in range(0, len(ids), BATCH):
                    connection.execute(delete(_runs).where(_runs.c.id.in_(ids[start : start + BATCH])))
        except SQLAlchemyError:
            log.exception("old records not deleted")


def _engine(url: str) -> Engine:
    engine = create_engine(url, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _pragmas(connection: object, _: object) -> None:
            cursor = connection.cursor()  # type: ignore[attr-defined]  # a DBAPI connection
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000"):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()

    return engine


def _info(row: dict[str, object]) -> RunInfo:
    reason = row.pop("finish_reason")
    usage = UsageReported(row.pop("prompt_tokens"), row.pop("completion_tokens"))  # type: ignore[arg-type]
    state = State(int(str(row.pop("state"))))
    return RunInfo(**row, state=state, usage=usage, finish_reason=FinishReason(reason) if reason else None)  # type: ignore[arg-type]
