"""Agents' specs in the records database: by tenant, name and version."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import (
    Column,
    Engine,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from services.orchestrator.making import make_tables

ATTEMPTS = 5

_metadata = MetaData()
_agents = Table(
    "agents",
    _metadata,
    Column("tenant", String(128), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("spec", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("create_time", Float, nullable=False),
    # A version that was deleted keeps its number, so that a run's record never names another one.
    Column("delete_time", Float),
)
_LIVE = _agents.c.delete_time.is_(None)
_STORED = [column for column in _agents.c if column.name not in ("tenant", "delete_time")]


@dataclass(frozen=True, slots=True)
class Stored:
    """A version of an agent: its YAML, and the digest of what that means. `create_time`: seconds since the epoch."""

    name: str
    version: int
    spec: str
    digest: str
    create_time: float


class AgentStore:
    """All methods block."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)

    def open(self) -> None:
        """Make the table where there is none."""
        make_tables(_metadata, self._engine)

    def close(self) -> None:
        self._engine.dispose()

    def apply(self, tenant: str, name: str, spec: str, digest: str) -> tuple[Stored, bool]:
        """Store the next version, unless the latest has this digest; and whether it is a new one."""
        for attempt in range(ATTEMPTS):
            latest = self.get(tenant, name)
            if latest is not None and latest.digest == digest:
                return latest, False
            try:
                return self._add(tenant, name, spec, digest), True
            except IntegrityError:
                # Somebody else has just taken the number.
                if attempt + 1 == ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def get(self, tenant: str, name: str, version: int = 0) -> Stored | None:
        """A version; 0 for the latest."""
        query = select(*_STORED).where(_agents.c.tenant == tenant, _agents.c.name == name, _LIVE)
        if version:
            query = query.where(_agents.c.version == version)
        with self._engine.connect() as connection:
            row = connection.execute(query.order_by(_agents.c.version.desc()).limit(1)).one_or_none()
        return Stored(**row._asdict()) if row else None

    def latest(self, tenant: str) -> dict[str, int]:
        """The names of the tenant's agents, with their latest versions."""
        query = select(_agents.c.name, func.max(_agents.c.version)).where(_agents.c.tenant == tenant, _LIVE)
        with self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query.group_by(_agents.c.name))}

    def versions(self, tenant: str, name: str, limit: int, before: int | None = None) -> Sequence[Stored]:
        """The versions of an agent, the latest first, from the one after `before`."""
        query = select(*_STORED).where(_agents.c.tenant == tenant, _agents.c.name == name, _LIVE)
        if before is not None:
            query = query.where(_agents.c.version < before)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(_agents.c.version.desc()).limit(limit))
            return [Stored(**row._asdict()) for row in rows]

    def delete(self, tenant: str, name: str, version: int = 0) -> int:
        """Delete a version, or all with 0; how many there were."""
        change = update(_agents).where(_agents.c.tenant == tenant, _agents.c.name == name, _LIVE)
        if version:
            change = change.where(_agents.c.version == version)
        with self._engine.begin() as connection:
            return connection.execute(change.values(delete_time=time.time(), spec="")).rowcount

    def all(self, tenant: str) -> Sequence[Stored]:
        """Every version of every agent of the tenant."""
        query = select(*_STORED).where(_agents.c.tenant == tenant, _LIVE).order_by(_agents.c.name, _agents.c.version)
        with self._engine.connect() as connection:
            return [Stored(**row._asdict()) for row in connection.execute(query)]

    def erase(self, tenant: str) -> int:
        """Delete all of the tenant's, deleted ones' remains included; how many versions there were. Names and numbers
        stay taken."""
        mine = update(_agents).where(_agents.c.tenant == tenant)
        with self._engine.begin() as connection:
            live = connection.execute(mine.where(_LIVE).values(delete_time=time.time())).rowcount
            connection.execute(mine.values(spec="", digest=""))
        return live

    def _add(self, tenant: str, name: str, spec: str, digest: str) -> Stored:
        known = select(func.max(_agents.c.version)).where(_agents.c.tenant == tenant, _agents.c.name == name)
        with self._engine.begin() as connection:
            version = (connection.execute(known).scalar() or 0) + 1
            stored = Stored(name, version, spec, digest, time.time())
            row = {"tenant": tenant, **{column.name: getattr(stored, column.name) for column in _STORED}}
            connection.execute(insert(_agents).values(**row))
        return stored


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
