"""An orchestrator that must not start on a database says why in the last line of its log, and ends."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from services.orchestrator.runs.records import RunRecords
from services.orchestrator.schema.schema import SCHEMA
from services.orchestrator.schema.tables import MESH
from services.runtime.identity import fingerprint
from services.runtime.records.database import Database
from services.runtime.records.mesh import claim
from tests.fakes.identity import Keys

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("same_mesh", "why"),
    [(False, "HEADWORKS_ORCHESTRATOR_RECORDS_URL belongs to another mesh"), (True, "another replica with the name")],
)
async def test_a_database_that_another_has(keys: Keys, tmp_path: Path, same_mesh: bool, why: str) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    (tmp_path / "public.pem").write_bytes(keys.public_pem)
    database = Database(url, SCHEMA)
    await database.open()
    await claim(database, MESH, fingerprint(keys.public_pem if same_mesh else Keys().public_pem), (), "", "")
    living = RunRecords(database, "orchestrator-0", 10, place="elsewhere")
    await living.join()
    settings = {
        "IDENTITY_PUBLIC_KEY": "public.pem", "RECORDS_URL": url, "PLACE": "here", "BEAT_SECONDS": "0.2",
        "LEASE_SECONDS": "600", "RETRIEVAL_TARGET": "127.0.0.1:1", "TRITON_TARGET": "127.0.0.1:1",
        "PEERS_TARGET": "127.0.0.1:1", "IDENTITY_TARGET": "127.0.0.1:1",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.orchestrator", cwd=tmp_path, stderr=asyncio.subprocess.PIPE,
        env={**{f"HEADWORKS_ORCHESTRATOR_{name}": value for name, value in settings.items()}, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    beating = asyncio.create_task(beat(living))
    try:
        _, log = await asyncio.wait_for(process.communicate(), 120)
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        if process.returncode is None:
            process.kill()
    assert process.returncode == 1, log.decode()
    last = json.loads(log.splitlines()[-1])
    assert last["message"].startswith("cannot start: ")
    assert why in last["message"]
    assert await living.beat(living.incarnation) == {}, "nothing of it is left"
    await database.aclose()


async def beat(living: RunRecords) -> None:
    while True:
        await living.beat(living.incarnation)
        await asyncio.sleep(0.1)
