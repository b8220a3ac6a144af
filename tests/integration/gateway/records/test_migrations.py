"""Migrations make what is declared, on both databases."""

import shutil
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect

from gateway.records.database import Database
from gateway.records.migrate import FOLDER, migrate
from gateway.records.revise import revise
from gateway.records.schema import METADATA


def differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA))


async def test_what_is_opened_is_what_is_declared(records_url: str) -> None:
    database = Database(records_url)
    await database.open()
    async with database.read() as connection:
        assert await connection.run_sync(differences) == []
    await database.aclose()


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    """A copy of the folder without any migration."""
    shutil.copytree(FOLDER, tmp_path / "copy", ignore=shutil.ignore_patterns("[0-9]*.py", "__pycache__"))
    return tmp_path / "copy"


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/records/records.db"
    return str(request.getfixturevalue("postgres_url"))


async def test_what_is_opened_first_is_what_is_declared(empty_url: str) -> None:
    await test_what_is_opened_is_what_is_declared(empty_url)


async def test_a_written_migration_makes_every_table_and_is_applied_once(empty_url: str, migrations: Path) -> None:
    await revise("0001", "first", migrations)
    assert [path.name for path in (migrations / "versions").glob("*.py")] == ["0001_first.py"]
    database = Database(empty_url)
    await database.open(migrate=False)
    for _ in range(2):
        async with database.write() as connection:
            await migrate(connection, migrations)
    async with database.read() as connection:
        tables = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names()))
        assert tables == {*METADATA.tables, "alembic_version"}
        assert await connection.run_sync(differences) == []
    await database.aclose()
