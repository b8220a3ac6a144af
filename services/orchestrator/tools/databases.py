"""Databases that tools may read: opened so that nothing can be changed, whatever is asked."""

import re
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from services.orchestrator.domain.tool import Reason

STEPS = 10_000  # of SQLite's virtual machine, between two looks at the clock: about a millisecond
MAX_VALUE = 1 << 20
MAX_CELL = 4_000
MAX_TABLES = 100
READING = re.compile(r"\s*(select|with|values|table|explain)\b", re.IGNORECASE)
SQLITE_ALLOWED = {
    sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE,
}  # fmt: skip
JSON_TABLES = ("json_each", "json_tree")
INTERNAL = ("sqlite_", "pragma_", "dbstat")
FORBIDDEN_FUNCTIONS = ("load_extension", "readfile", "writefile", "edit", "fts3_tokenizer")


class QueryTimeout(Exception):
    """The query passed its time."""


class QueryRefused(Exception):
    """The query cannot be run; the message is the database's, about the query."""

    def __init__(self, message: str, reason: Reason = Reason.FAILED) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Rows:
    """The first rows of a result; `more` says that there are others."""

    columns: list[str]
    rows: list[list[Any]]
    more: bool


class ReadOnlyDatabase:
    """A database by its SQLAlchemy URL. SQLite: a file opened read-only, with an authorizer that lets it read tables
    and nothing else. PostgreSQL: read-only transactions; give it a role that may only SELECT as well."""

    def __init__(self, url: str, tables: Sequence[str] = ()) -> None:
        """`tables`: those that may be read, all if empty; on PostgreSQL those that are told of, as its roles say
        who may read what. Raises ValueError for a URL of no kind that can be opened read-only."""
        self._url = make_url(url)
        self.tables = frozenset(tables)
        self.dialect = self._url.get_backend_name()
        if self.dialect not in ("sqlite", "postgresql"):
            raise ValueError(f"databases are sqlite or postgresql, not {self.dialect}")
        if self.dialect == "sqlite" and (not self._url.database or self._url.database == ":memory:"):
            raise ValueError("a sqlite database is a file")

    def describe(self) -> str:
        """The tables and views, one a line: name(column type, …). Raises SQLAlchemyError."""
        engine = self.engine()
        try:
            inspector = inspect(engine)
            names = [*inspector.get_table_names(), *inspector.get_view_names()]
            wanted = [name for name in names if not self.tables or name in self.tables]
            lines = []
            for name in wanted[:MAX_TABLES]:
                columns = ", ".join(f"{one['name']} {one['type']}" for one in inspector.get_columns(name))
                lines.append(f"{name}({columns})")
            if len(wanted) > MAX_TABLES:
                lines.append(f"… and {len(wanted) - MAX_TABLES} more")
            return "\n".join(lines)
        finally:
            engine.dispose()

    def ask(self, query: str, max_rows: int, seconds: float) -> "Asking":
        """A query, to be run in a thread."""
        return Asking(self, query, max_rows, seconds)

    def engine(self, seconds: float = 30.0) -> Engine:
        """An engine whose connections are read-only; each is used once."""
        if self.dialect == "sqlite":
            return create_engine("sqlite://", creator=self._open_sqlite, poolclass=NullPool)
        options = f"-c default_transaction_read_only=on -c statement_timeout={int(seconds * 1000)}"
        return create_engine(self._url, poolclass=NullPool, connect_args={"options": options})

    def _open_sqlite(self) -> sqlite3.Connection:
        path = str(self._url.database).replace("?", "%3f").replace("#", "%23")
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
        connection.execute("PRAGMA query_only = ON")
        return connection


class Asking:
    """One query under way. `run` blocks; `stop` may be called from another thread and ends it."""

    def __init__(self, database: ReadOnlyDatabase, query: str, max_rows: int, seconds: float) -> None:
        self._database = database
        self._query = query.strip().rstrip(";").strip()
        self._max_rows = max_rows
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> Rows:
        """Raises QueryTimeout, QueryRefused."""
        self._check()
        engine = self._database.engine(self._seconds)
        try:
            with engine.connect() as connection:
                if self._database.dialect == "sqlite":
                    self._guard(connection)
                return self._rows(connection)
        except SQLAlchemyError as error:
            if time.monotonic() >= self._deadline or "statement timeout" in str(error):
                raise QueryTimeout from error
            raise _refusal(error) from error
        finally:
            engine.dispose()

    def _rows(self, connection: Connection) -> Rows:
        if self._database.dialect == "postgresql":
            connection = connection.execution_options(postgresql_readonly=True, stream_results=True)
        result = connection.exec_driver_sql(self._query)
        if not result.returns_rows:
            raise QueryRefused("only queries that give rows are allowed", Reason.NOT_ALLOWED)
        found = [[_cell(value) for value in row] for row in result.fetchmany(self._max_rows + 1)]
        return Rows(list(result.keys()), found[: self._max_rows], len(found) > self._max_rows)

    def _check(self) -> None:
        """SQLite's authorizer sees what a statement does; for PostgreSQL the words are all there is to see."""
        if self._database.dialect == "sqlite":
            return
        if not READING.match(self._query):
            raise QueryRefused("a query begins with SELECT, WITH, VALUES, TABLE or EXPLAIN", Reason.NOT_ALLOWED)
        if ";" in self._query:
            raise QueryRefused("one statement is allowed, and no semicolon in it", Reason.NOT_ALLOWED)

    def _guard(self, connection: Connection) -> None:
        """From here on the connection reads, and nothing else; SQLAlchemy has asked it what it needs to know."""
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)  # noqa: S101 (for the type checker)
        # SQLite declares the tables of JSON's functions at their first use, as if it changed its schema: that is before
        # it is held to reading.
        raw.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')").close()
        known = {str(name) for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")}
        raw.set_authorizer(_authorizer(self._database.tables, known))
        raw.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
        raw.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        raw.set_progress_handler(self._over, STEPS)

    def _over(self) -> bool:
        return self._stopped.is_set() or time.monotonic() >= self._deadline


def _authorizer(tables: frozenset[str], known: Collection[str]) -> Callable[..., int]:
    """Lets SQLite read the tables (all if none are named) and nothing else; `known` are all that there are. A view
    needs those that it reads as well: a query could give its own parts a view's name."""

    def hidden(table: str, column: str | None) -> bool:
        if table in tables or (table in JSON_TABLES and table not in known):
            return False
        # Of a part of the query's own no column is asked for, but that it is read: WITH n AS … SELECT count(*) FROM n.
        return bool(column) or table in known or table.lower().startswith(INTERNAL)

    def authorize(action: int, first: str | None, second: str | None, *_: Any) -> int:
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in FORBIDDEN_FUNCTIONS:
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_READ and tables and hidden(first or "", second):
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK if action in SQLITE_ALLOWED else sqlite3.SQLITE_DENY

    return authorize


def _refusal(error: SQLAlchemyError) -> QueryRefused:
    """The database's own words on the query, without SQLAlchemy's around them."""
    words = str(getattr(error, "orig", None) or error).splitlines()[0][:500]
    denied = "not authorized" in words or "prohibited" in words or "read-only" in words or "readonly" in words
    return QueryRefused(
        f"the database says: {words}" + (" (only reading is allowed)" if denied else ""),
        Reason.NOT_ALLOWED if denied else Reason.FAILED,
    )


def _cell(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_CELL:
        return value[:MAX_CELL] + "…"
    return value
