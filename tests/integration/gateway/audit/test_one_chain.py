"""A log from when there was one chain, in a database and in an export as they were left then, goes on and is sound."""

import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, text

from gateway.audit.exported import verify_lines
from gateway.audit.pruning import AuditPruner
from gateway.audit.seal import Seal
from gateway.audit.store import AuditFilter
from gateway.audit.walk import Fault
from gateway.schema.schema import SCHEMA
from services.runtime.records.database import Database
from services.runtime.records.migrate import config
from tests.fakes.identity import Keys
from tests.fixtures.audit import Audit, open_audit

FOLDER = Path(__file__).parents[3] / "fixtures" / "audit_one_chain"
TABLES = ("audit_actors", "audit_checkpoints", "audit_content", "audit_head", "audit_prunings", "audit_records")
DAY = 86_400.0


class LeftKeys(Keys):
    """The key that it was signed with."""

    @property
    def private_pem(self) -> bytes:
        return (FOLDER / "private.pem").read_bytes()


@pytest.fixture
def old_rows() -> dict[str, list[dict[str, Any]]]:
    with sqlite3.connect(":memory:") as connection:
        connection.row_factory = sqlite3.Row
        connection.executescript((FOLDER / "records.sql").read_text())
        rows = {name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")] for name in TABLES}  # noqa: S608 (the names above)
    connection.close()
    return rows


@pytest.fixture(params=["sqlite", "postgres"])
async def url(request: pytest.FixtureRequest, tmp_path: Path, old_rows: dict[str, list[dict[str, Any]]]) -> str:
    """A database as the last version with one chain left it."""
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/records.db" if sqlite else str(request.getfixturevalue("postgres_url"))
    database = Database(url, SCHEMA, timeout=60)
    await database.open(migrate=False)

    def make(connection: Connection) -> None:
        command.upgrade(config(connection, SCHEMA), "0002")
        for table, rows in old_rows.items():
            names = ", ".join(rows[0])
            values = ", ".join(f":{name}" for name in rows[0])
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), rows)  # noqa: S608 (of the dump)

    async with database.write() as connection:
        await connection.run_sync(make)
    await database.aclose()
    return url


async def test_it_is_sound_and_goes_on(url: str) -> None:
    audit = await open_audit(url, LeftKeys())
    report = await audit.verify()
    assert (report.findings, report.sound, report.signed) == ([], True, True)
    assert (report.first, report.last, report.records) == (6, 24, 19)
    assert (report.erased_actors, report.erased_contents) == (1, 1)
    assert [one.sequence for one in await audit.store.page(AuditFilter(), content=True) if one.content] == [14]
    await audit.fill(4)
    await audit.checkpoints.write()
    assert (await audit.verify(after=20)).records == 8
    report = await audit.verify()
    assert (report.sound, list(report.chains), report.last) == (True, [1], 28)
    assert await AuditPruner(audit.database, audit.checkpoints).prune(1_790_000_018.0) == 12
    report = await audit.verify()
    assert (report.findings, report.first, report.records) == ([], 18, 11)
    assert await AuditPruner(audit.database, audit.checkpoints).prune(time.time() + DAY) == 10
    assert (await audit.verify()).sound
    await audit.aclose()


async def cut(audit: Audit) -> None:
    await audit.execute("DELETE FROM audit_records WHERE sequence > 18")
    await audit.execute(
        "UPDATE audit_head SET sequence = 18, hash = (SELECT hash FROM audit_records WHERE sequence = 18)"
    )


async def test_what_is_done_to_it_is_found(url: str) -> None:
    audit = await open_audit(url, LeftKeys())
    await audit.fill(1)
    await audit.checkpoints.write()
    await audit.execute("UPDATE audit_records SET record = replace(record, 'rag', 'x') WHERE sequence = 8")
    assert (Fault.CHANGED, 8) in {(one.fault, one.sequence) for one in (await audit.verify()).findings}
    await cut(audit)
    await audit.execute("DELETE FROM audit_checkpoints WHERE number > 3")  # those of now
    assert (Fault.REMOVED, 19) in {(one.fault, one.sequence) for one in (await audit.verify()).findings}
    await audit.aclose()


def test_an_export_of_then() -> None:
    lines = (FOLDER / "export.jsonl").read_bytes().splitlines(keepends=True)
    check = Seal((FOLDER / "private.pem").read_bytes()).check
    report = verify_lines(lines, check)
    assert (report.sound, report.signed, report.records) == (True, True, 19)
    assert not verify_lines([*lines[:4], *lines[5:]], check).sound
