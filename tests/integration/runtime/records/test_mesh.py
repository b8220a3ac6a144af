"""A database belongs to the mesh whose identity key was here first, on either server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Table

from gateway.schema.schema import SCHEMA as GATEWAY
from services.orchestrator.schema.schema import SCHEMA as ORCHESTRATOR
from services.orchestrator.schema.tables import MESH as ORCHESTRATORS
from services.runtime.identity import TokenSigner, fingerprint
from services.runtime.records.database import Database
from services.runtime.records.mesh import AnotherMesh, claim
from services.runtime.records.schema import Schema
from services.runtime.records.tables import MESH as GATEWAYS
from tests.fakes.identity import Keys


@pytest.fixture(params=[(GATEWAY, GATEWAYS), (ORCHESTRATOR, ORCHESTRATORS)], ids=["gateway", "orchestrator"])
async def opened(request: pytest.FixtureRequest, empty_url: str) -> AsyncIterator[tuple[Database, Table]]:
    schema: Schema = request.param[0]
    database = Database(empty_url, schema)
    await database.open()
    yield database, request.param[1]
    await database.aclose()


async def test_another_mesh_is_refused(opened: tuple[Database, Table]) -> None:
    database, table = opened
    for _ in range(2):
        await claim(database, table, "a" * 64, (), "HEADWORKS_TEST_", "former_keys")
    for _ in range(2):
        with pytest.raises(AnotherMesh, match=r"belongs to another mesh: it has the identity key aaaa.*FORMER_KEYS"):
            await claim(database, table, "b" * 64, (), "HEADWORKS_TEST_", "former_keys")
    await claim(database, table, "a" * 64, (), "HEADWORKS_TEST_", "former_keys")


async def test_a_key_that_was_changed(opened: tuple[Database, Table], tmp_path: Path) -> None:
    database, table = opened
    old, new = Keys(), Keys()
    (tmp_path / "old.pem").write_bytes(old.public_pem)
    before, now = fingerprint(old.public_pem), TokenSigner(new.private_pem).fingerprint
    assert now == fingerprint(new.public_pem) != before
    await claim(database, table, before, (), "HEADWORKS_TEST_", "former_keys")
    await claim(database, table, now, [tmp_path / "old.pem"], "HEADWORKS_TEST_", "former_keys")
    await claim(database, table, now, (), "HEADWORKS_TEST_", "former_keys")
    with pytest.raises(AnotherMesh):
        await claim(database, table, before, (), "HEADWORKS_TEST_", "former_keys")
