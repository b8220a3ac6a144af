"""Services whose start fails part-way: they say why, leave nothing open, and end."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from services.retrieval.store.folders import Folders

NOWHERE = "127.0.0.1:1"


def settings(service: str, folder: Path) -> dict[str, str]:
    """Such that it starts, were there no fault."""
    key = Ed25519PrivateKey.generate()
    private, public = folder / "private.pem", folder / "public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (folder / "keys.json").write_text('{"keys": []}')
    every: dict[str, dict[str, Path | str]] = {
        "gateway": {
            "IDENTITY_PRIVATE_KEY": private,
            "API_KEYS_FILE": folder / "keys.json",
            "RECORDS_URL": f"sqlite:///{folder}/records.db",
            "ORCHESTRATOR_TARGET": NOWHERE,
            "RETRIEVAL_TARGET": NOWHERE,
        },
        "orchestrator": {
            "IDENTITY_PUBLIC_KEY": public,
            "RECORDS_URL": f"sqlite:///{folder}/runs.db",
            "RETRIEVAL_TARGET": NOWHERE,
            "PEERS_TARGET": NOWHERE,
            "GUARD_TARGET": NOWHERE,
            "IDENTITY_TARGET": NOWHERE,
        },
        "retrieval": {"IDENTITY_PUBLIC_KEY": public, "DATA_DIR": folder / "store"},
    }
    return {name: str(value) for name, value in every[service].items()} | {"TRITON_TARGET": NOWHERE}


async def ended(service: str, values: dict[str, str]) -> tuple[int, list[dict[str, Any]]]:
    """The exit code of a service that ends by itself, and its log."""
    module = service if service == "gateway" else f"services.{service}"
    env = {name: value for name, value in os.environ.items() if not name.startswith("HEADWORKS_")}
    env |= {f"HEADWORKS_{service.upper()}_{name}": value for name, value in values.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", module, env=env, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(120):
            _, log = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    lines = [json.loads(line) for line in log.decode().splitlines() if line.startswith("{")]
    return process.returncode or 0, lines


@pytest.mark.parametrize(
    ("service", "name", "value"),
    [
        ("orchestrator", "RECORDS_URL", "sqlite:///{folder}"),
        ("orchestrator", "TOOLS_FILE", "{folder}/none.yaml"),
        ("orchestrator", "CATALOGUE_FILE", "{folder}/none.yaml"),
        ("orchestrator", "IDENTITY_PUBLIC_KEY", "{folder}/none.pem"),
        ("orchestrator", "SOCKET", "{folder}/none/here.sock"),
        ("gateway", "RECORDS_URL", "sqlite:///{folder}"),
        ("gateway", "API_KEYS_FILE", "{folder}/none.json"),
        ("gateway", "GUARDS_FILE", "{folder}/none.yaml"),
        ("gateway", "HTTP_SOCKET", "{folder}/none/here.sock"),
        ("retrieval", "IDENTITY_PUBLIC_KEY", "{folder}/none.pem"),
        ("retrieval", "DATA_DIR", "{folder}/keys.json"),
        ("retrieval", "SOCKET", "{folder}/none/here.sock"),
    ],
)
async def test_a_start_that_fails_leaves_nothing_open(tmp_path: Path, service: str, name: str, value: str) -> None:
    code, lines = await ended(service, settings(service, tmp_path) | {name: value.format(folder=tmp_path)})
    errors = [line["message"] for line in lines if line["level"] in ("error", "critical")]
    assert code == 1
    assert len(errors) == 1, errors
    assert errors[0].startswith("cannot start: ")


async def test_a_store_that_another_process_has(tmp_path: Path) -> None:
    owner = Folders(tmp_path / "store")
    try:
        code, lines = await ended("retrieval", settings("retrieval", tmp_path))
    finally:
        owner.release()
    assert code == 1
    assert lines[-1]["message"].startswith("cannot start: another process uses the store in ")
