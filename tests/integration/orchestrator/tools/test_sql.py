"""SQL on a real SQLite database: what reads is answered, what would change anything is not."""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from services.orchestrator.domain.tool import Reason, ToolPolicy, ToolResult
from services.orchestrator.tools.builtin.sql import Sql
from services.orchestrator.tools.databases import ReadOnlyDatabase
from services.orchestrator.tools.toolbox import Toolbox
from tests.fakes.tools import CONTEXT, call


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "sales?#.db"
    with closing(sqlite3.connect(made)) as connection:
        connection.executescript(
            "CREATE TABLE sales (id INTEGER PRIMARY KEY, item TEXT, cents INTEGER, at TIMESTAMP, raw BLOB);"
            "CREATE TABLE secrets (word TEXT); INSERT INTO secrets VALUES ('hush');"
            "CREATE VIEW totals AS SELECT item, sum(cents) AS total FROM sales GROUP BY item;"
            "CREATE VIEW leak AS SELECT word FROM secrets;"
        )
        rows = [(n, f"item {n % 3}", n * 100, "2026-01-01", b"\x00\x01") for n in range(50)]
        connection.executemany("INSERT INTO sales VALUES (?, ?, ?, ?, ?)", rows)
        connection.commit()
    return made


def tool(path: Path, *tables: str, max_rows: int = 20, seconds: float = 5) -> Sql:
    database = ReadOnlyDatabase(f"sqlite:///{str(path).replace('?', '%3F').replace('#', '%23')}", tables)
    return Sql("sql", database, database.describe(), max_rows, seconds)


async def ask(made: Sql, query: str, timeout: float = 20) -> ToolResult:
    toolbox = Toolbox([made], {"sql": ToolPolicy(timeout=timeout)})
    return await toolbox.call(call(orjson.dumps({"query": query}).decode(), "sql"), CONTEXT)


def test_the_tables_are_told(path: Path) -> None:
    description = tool(path).declaration.description
    assert "sales(id INTEGER, item TEXT, cents INTEGER, at TIMESTAMP, raw BLOB)" in description
    assert "totals(item TEXT, total" in description
    assert "secrets" not in tool(path, "sales").declaration.description


@pytest.mark.parametrize(
    ("query", "columns", "rows"),
    [
        ("SELECT count(*) AS n FROM sales", ["n"], [[50]]),
        ("SELECT item, total FROM totals ORDER BY item LIMIT 1;", ["item", "total"], [["item 0", 40800]]),
        ("WITH a AS (SELECT 1 AS x) SELECT x, ':name' AS y, '50%' FROM a", ["x", "y", "'50%'"], [[1, ":name", "50%"]]),
        ("SELECT raw, NULL, 1.5 FROM sales LIMIT 1", ["raw", "NULL", "1.5"], [["<2 bytes>", None, 1.5]]),
        ("SELECT upper(item) u FROM sales WHERE id = 1 -- why; not", ["u"], [["ITEM 1"]]),
    ],
)
async def test_what_reads_is_answered(path: Path, query: str, columns: list[str], rows: list[list[object]]) -> None:
    result = await ask(tool(path), query)
    assert not result.is_error, result
    assert orjson.loads(result.content) == {"columns": columns, "rows": rows, "more": False}


async def test_rows_are_limited(path: Path) -> None:
    told = orjson.loads((await ask(tool(path, max_rows=7), "SELECT id FROM sales ORDER BY id")).content)
    assert (told["rows"], told["more"]) == ([[n] for n in range(7)], True)


def content(path: Path) -> bytes:
    return path.read_bytes()


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO sales (item) VALUES ('x')", "UPDATE sales SET cents = 0", "DELETE FROM sales", "DROP TABLE sales",
        "CREATE TABLE t (a)", "CREATE TEMP TABLE t (a)", "ALTER TABLE sales ADD COLUMN x", "VACUUM", "REINDEX",
        "PRAGMA query_only = OFF", "PRAGMA writable_schema = ON", "PRAGMA database_list", "ATTACH '/tmp/x.db' AS x",
        "ATTACH ':memory:' AS x", "SELECT load_extension('x')", "BEGIN IMMEDIATE", "VACUUM INTO '/tmp/headworks.db'",
        "SELECT 1; DELETE FROM sales", "WITH a AS (SELECT 1) DELETE FROM sales", "EXPLAIN DELETE FROM sales",
        "SELECT * FROM pragma_database_list", "REPLACE INTO sales (id) VALUES (1)", "SAVEPOINT a", "",
    ],
)  # fmt: skip
async def test_what_does_not_only_read_is_refused(path: Path, query: str) -> None:
    before = content(path)
    result = await ask(tool(path), query)
    assert result.is_error, result
    assert content(path) == before
    assert str(path) not in result.content


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM secrets", "SELECT count(*) FROM secrets", "SELECT * FROM leak", "SELECT name FROM sqlite_master",
        "WITH sales AS (SELECT word FROM secrets) SELECT * FROM sales",
        "SELECT (SELECT word FROM secrets) FROM sales",
        "SELECT * FROM (SELECT word FROM secrets) AS sales",
    ],
)  # fmt: skip
async def test_other_tables_are_refused(path: Path, query: str) -> None:
    result = await ask(tool(path, "sales"), query)
    assert result.error_reason == Reason.NOT_ALLOWED, result
    assert "hush" not in result.content
    assert not (await ask(tool(path, "sales", "totals"), "SELECT total FROM totals")).is_error


@pytest.mark.parametrize("tables", [(), ("sales",)], ids=["all", "some"])
@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 4) SELECT count(*) FROM n", [[4]]),
        ("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 3) SELECT 'y' FROM n", [["y"]] * 3),
        ("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 2) "
         "SELECT x, item FROM n JOIN sales ON sales.id = n.x ORDER BY x", [[1, "item 1"], [2, "item 2"]]),
        ("WITH RECURSIVE up(id) AS (SELECT id FROM sales WHERE id = 3 UNION SELECT sales.id FROM sales "
         "JOIN up ON sales.id = up.id - 1 WHERE sales.id > 0) SELECT count(*) FROM up", [[3]]),
        ("WITH some AS (SELECT id FROM sales WHERE id < 5) SELECT count(*) FROM some", [[5]]),
        ("SELECT value FROM json_each('[1, \"two\"]')", [[1], ["two"]]),
        ("SELECT count(*) FROM json_each('[1, 2]')", [[2]]),
        ("SELECT j.value FROM sales, json_each('[' || sales.cents || ']') j WHERE sales.id = 3", [[300]]),
        ("SELECT fullkey FROM json_tree('{\"a\": [1]}') WHERE atom IS NOT NULL", [["$.a[0]"]]),
    ],
)  # fmt: skip
async def test_queries_may_build_rows_of_their_own(
    path: Path, tables: tuple[str, ...], query: str, rows: list[list[object]]
) -> None:
    result = await ask(tool(path, *tables), query)
    assert not result.is_error, result
    assert orjson.loads(result.content)["rows"] == rows


@pytest.mark.parametrize(
    "query",
    [
        "WITH RECURSIVE n(x) AS (SELECT word FROM secrets UNION SELECT x || x FROM n WHERE x < 'z') SELECT x FROM n",
        "WITH secrets AS (SELECT 1) SELECT count(*) FROM main.secrets", "SELECT count(*) FROM sqlite_master",
        "SELECT count(*) FROM sqlite_schema", "SELECT count(*) FROM leak", "SELECT 1 FROM secrets",
        "SELECT j.value FROM secrets, json_each('[\"' || word || '\"]') j", "SELECT count(*) FROM dbstat",
        "SELECT count(*) FROM pragma_table_info('secrets')", "SELECT count(*) FROM pragma_database_list",
    ],
)  # fmt: skip
async def test_rows_of_its_own_are_no_way_to_other_tables(path: Path, query: str) -> None:
    result = await ask(tool(path, "sales"), query)
    assert result.is_error, result
    assert "hush" not in result.content


async def test_a_long_result_is_cut_by_rows(path: Path) -> None:
    toolbox = Toolbox([tool(path, max_rows=50)], {"sql": ToolPolicy(result_limit=600)})
    given = await toolbox.call(call('{"query": "SELECT id, item FROM sales ORDER BY id"}', "sql"), CONTEXT)
    told = orjson.loads(given.content)
    assert given.truncated
    assert len(given.content) <= 600
    assert told["rows"] == [[n, f"item {n % 3}"] for n in range(len(told["rows"]))]
    assert (told["more"], len(told["rows"]) + told["left_out"]) == (True, 50)
    assert len(told["rows"]) > 20


async def test_a_mistake_is_told_in_the_databases_words(path: Path) -> None:
    result = await ask(tool(path), "SELECT nope FROM sales")
    assert result.error_reason == Reason.FAILED
    assert "no such column: nope" in result.content
    assert "sqlalche" not in result.content


FOREVER = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"


async def test_time_is_limited(path: Path) -> None:
    started = time.monotonic()
    result = await ask(tool(path, seconds=0.3), FOREVER)
    assert result.error_reason == Reason.TIMEOUT
    assert time.monotonic() - started < 3


async def test_a_query_that_nobody_waits_for_is_stopped(path: Path) -> None:
    made = tool(path, seconds=60)
    assert (await ask(made, FOREVER, timeout=0.2)).error_reason == Reason.TIMEOUT
    # The thread is free again: as many as there are answer at once.
    async with asyncio.timeout(60):
        answers = await asyncio.gather(*(ask(made, "SELECT 1") for _ in range(8)))
    assert not any(one.is_error for one in answers)


@pytest.mark.parametrize("query", ["SELECT zeroblob(1000000000)", "SELECT printf('%.*c', 100000000, 'x')"])
async def test_values_are_limited(path: Path, query: str) -> None:
    result = await ask(tool(path), query)
    assert result.is_error or len(result.content) < 10_000


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://x/y"])
def test_only_what_can_be_opened_read_only_is(url: str) -> None:
    with pytest.raises(ValueError, match=r"databases are|is a file"):
        ReadOnlyDatabase(url)


def test_postgresql_is_asked_in_read_only_transactions() -> None:
    database = ReadOnlyDatabase("postgresql://u@localhost/db")
    for query in ("DELETE FROM x", "SELECT 1; COMMIT; DELETE FROM x", "SET x = 1", "COPY x TO '/tmp/x'", "DO $$ $$"):
        with pytest.raises(Exception, match=r"begins with|one statement"):
            database.ask(query, 1, 1).run()
