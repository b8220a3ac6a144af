"""What keeps a gateway from starting is said in words, in one line of its log."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

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
    settings = {
        "IDENTITY_PRIVATE_KEY": "private.pem", "API_KEYS_FILE": "keys.json", "GUARDS_FILE": "guards.yaml",
        "TERMS_DIR": ".", "EDGE_TOKEN_FILE": "edge.token", "RECORDS_URL": "sqlite:///records.db",
        "ORCHESTRATOR_TARGET": "127.0.0.1:1", "RETRIEVAL_TARGET": "127.0.0.1:1", "TRITON_TARGET": "127.0.0.1:1",
    }  # fmt: skip
    named = {f"HEADWORKS_GATEWAY_{name}": value for name, value in settings.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
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
    assert why in last["message"]
