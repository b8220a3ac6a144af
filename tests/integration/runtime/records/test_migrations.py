"""Migrations make what is declared, on both databases."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect

from gateway.schema.schema import SCHEMA as GATEWAY
from services.orchestrator.schema.schema import SCHEMA as ORCHESTRATOR
from services.runtime.records.database import Database
from services.runtime.records.migrate import migrate
from services.runtime.records.revise import revise
from services.runtime.records.schema import Schema
from tests.fixtures.servers import sqlite_url

SCHEMAS = [pytest.param(schema, id=schema.service) for schema in (GATEWAY, ORCHESTRATOR)]


def differences(connection: Connection, schema: Schema) -> list[object]:
    def of_schema(name: str | None, type_: str, parents: object) -> bool:
        return type_ != "table" or name in schema.metadata.tables

    options = {"compare_type": True, "include_name": of_schema, "version_table": schema.version_table}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), schema.metadata))


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_what_is_opened_is_what_is_declared(empty_url: str, schema: Schema) -> None:
    for _ in range(2):
        database = Database(empty_url, schema)
        await database.open()
        async with database.read() as connection:
            assert await connection.run_sync(differences, schema) == []
        await database.aclose()


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_a_written_migration_makes_every_table_and_is_applied_once(
    empty_url: str, schema: Schema, tmp_path: Path
) -> None:
    (tmp_path / "versions").mkdir()
    schema = replace(schema, versions=tmp_path / "versions")
    await revise(schema, "0001", "first")
    assert [path.name for path in schema.versions.glob("*.py")] == ["0001_first.py"]
    database = Database(empty_url, schema)
    await database.open(migrate=False)
    for _ in range(2):
        async with database.write() as connection:
            await migrate(connection, schema)
    async with database.read() as connection:
        tables = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names()))
        assert tables == {*schema.metadata.tables, schema.version_table}
        assert await connection.run_sync(differences, schema) == []
    await database.aclose()


async def test_a_process_migrates_several_databases_at_once(empty_url: str, tmp_path: Path) -> None:
    databases = [
        Database(sqlite_url(tmp_path / f"{n}"), schema) for n in range(3) for schema in (GATEWAY, ORCHESTRATOR)
    ]
    databases.append(Database(empty_url, GATEWAY))
    await asyncio.gather(*(database.open() for database in databases))
    for database in databases:
        async with database.read() as connection:
            assert await connection.run_sync(differences, database.schema) == []
        await database.aclose()
