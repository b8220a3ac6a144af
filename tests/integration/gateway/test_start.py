"""What keeps a gateway from starting is said in words, in one line of its log."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.audit.tables import HEAD
from gateway.schema.schema import SCHEMA
from services.runtime.identity import fingerprint
from services.runtime.records.database import Database
from services.runtime.records.mesh import claim
from services.runtime.records.tables import MESH
from tests.fakes.identity import Keys

GOOD = {"keys.json": b'{"keys": []}', "guards.yaml": b"guards: []", "edge.token": b"t" * 40}


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("guards.yaml", b"guards: [{guard: none}]", "guards.yaml: the policy is wrong: guards.0"),
        ("guards.yaml", b"guards: {", "guards.yaml: the policy is wrong"),
        ("guards.yaml", b"\xff", "guards.yaml is not valid UTF-8"),
        ("guards.yaml", None, "guards.yaml"),
        ("guards.yaml", b"guards: [{guard: terms, stage: output, lists: [gone]}]", "gone"),
        ("keys.json", b"{", "keys.json is no list of API keys"),
        ("keys.json", None, "keys.json"),
        ("private.pem", None, "private.pem"),
        ("private.pem", b"none", "private.pem is no PEM"),
        ("edge.token", b"short", "edge.token has to hold one token"),
        ("models.yaml", b"models: 5", "models.yaml"),
    ],
)
async def test_a_wrong_file(keys: Keys, tmp_path: Path, file: str, text: bytes | None, why: str) -> None:
    for name, good in {**GOOD, "private.pem": keys.private_pem, "models.yaml": b"models: {}"}.items():
        (tmp_path / name).write_bytes(good)
    (tmp_path / file).unlink()
    if text is not None:
        (tmp_path / file).write_bytes(text)
    last = await refused(tmp_path)
    assert why in last["message"]


async def test_the_database_of_another_mesh(keys: Keys, tmp_path: Path) -> None:
    """Said before anything is written, and what to do; nothing of it is in the audit."""
    for name, good in {**GOOD, "private.pem": Keys().private_pem, "models.yaml": b"models: {}"}.items():
        (tmp_path / name).write_bytes(good)
    database = Database(f"sqlite:///{tmp_path}/records.db", SCHEMA)
    await database.open()
    await claim(database, MESH, fingerprint(keys.public_pem), (), "", "")
    last = await refused(tmp_path)
    assert "HEADWORKS_GATEWAY_RECORDS_URL belongs to another mesh" in last["message"]
    assert "HEADWORKS_GATEWAY_AUDIT_FORMER_KEYS" in last["message"]
    async with database.read() as connection:
        assert (await connection.execute(select(HEAD))).all() == []
    await database.aclose()


async def refused(folder: Path) -> dict[str, str]:
    """The last line of a gateway that cannot start."""
    settings = {
        "IDENTITY_PRIVATE_KEY": "private.pem", "API_KEYS_FILE": "keys.json", "GUARDS_FILE": "guards.yaml",
        "TERMS_DIR": ".", "EDGE_TOKEN_FILE": "edge.token", "RECORDS_URL": "sqlite:///records.db",
        "ORCHESTRATOR_TARGET": "127.0.0.1:1", "RETRIEVAL_TARGET": "127.0.0.1:1", "TRITON_TARGET": "127.0.0.1:1",
    }  # fmt: skip
    named = {f"HEADWORKS_GATEWAY_{name}": value for name, value in settings.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**named, "HEADWORKS_LLM_MODELS_FILE": "models.yaml", "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    try:
        out, log = await asyncio.wait_for(process.communicate(), 120)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 1
    assert b"Traceback" not in out + log
    last = json.loads(log.splitlines()[-1])
    assert (last["level"], last["service"]) == ("error", "gateway")
    assert last["message"].startswith("cannot start: ")
    return dict(last)
