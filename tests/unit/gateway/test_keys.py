"""API keys: what is stored, what is believed, and how a changed file is taken up."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.identity.keys import PREFIX_LENGTH, KeyRing
from infra.local.keys import api_key_entry
from services.runtime.identity import Identity
from tests.fakes.serving import until

KEY = "hw_" + "a" * 40


def entry(key: str = KEY, **changes: Any) -> dict[str, Any]:
    fine = {
        "id": "dev", "prefix": key[:PREFIX_LENGTH], "sha256": hashlib.sha256(key.encode()).hexdigest(),
        "tenant": "acme", "subject": "dev", "scopes": ["run"],
    }  # fmt: skip
    return fine | changes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [entry()]}))
    return path


def test_the_supervisor_writes_what_the_gateway_reads(tmp_path: Path) -> None:
    written = tmp_path / "keys.json"
    written.write_text(json.dumps({"keys": [api_key_entry(KEY)]}))
    assert KeyRing(written).find(KEY)
    assert api_key_entry(KEY)["prefix"] == KEY[:PREFIX_LENGTH]


def replace(path: Path, content: str) -> None:
    """Put new content in place at once, as whoever writes the file should."""
    other = path.with_suffix(".new")
    other.write_text(content)
    os.replace(other, path)  # noqa: PTH105


def known(ring: KeyRing, key: str) -> bool:
    return ring.find(key) is not None


def test_a_key_is_its_owners(path: Path) -> None:
    assert KeyRing(path).find(KEY) == Identity("acme", "dev", frozenset({"run"}), key="dev")


@pytest.mark.parametrize(
    "key", ["", "hw_", KEY[:-1], KEY + "a", KEY[:-1] + "b", KEY.upper(), "hw_語", "hw_aaaaaaaa\x00"]
)
def test_any_other_is_nobodys(path: Path, key: str) -> None:
    assert KeyRing(path).find(key) is None


def test_keys_that_begin_alike_are_told_apart(path: Path) -> None:
    other = KEY[:-1] + "b"
    path.write_text(json.dumps({"keys": [entry(), entry(other, tenant="other")]}))
    ring = KeyRing(path)
    mine, theirs = ring.find(KEY), ring.find(other)
    assert mine
    assert theirs
    assert (mine.tenant, theirs.tenant) == ("acme", "other")


async def test_a_changed_file_is_taken_up(path: Path) -> None:
    ring, other = KeyRing(path), "hw_" + "b" * 40
    assert known(ring, KEY)
    replace(path, json.dumps({"keys": [entry(other)]}))
    await until(lambda: known(ring, other), 60)
    assert not known(ring, KEY)


BROKEN: list[Callable[[], str]] = [
    lambda: "",
    lambda: "{",
    lambda: "[]",
    lambda: "{}",
    lambda: "null",
    lambda: json.dumps({"keys": "x"}),
    lambda: json.dumps({"keys": [{}]}),
    lambda: json.dumps({"keys": [entry(sha256=None)]}),
    lambda: json.dumps({"keys": [entry(sha256="語")]}),
    lambda: json.dumps({"keys": [entry(tenant=None)]}),
    lambda: json.dumps({"keys": [entry(subject=7)]}),
    lambda: json.dumps({"keys": [entry(scopes=7)]}),
    lambda: json.dumps({"keys": [entry(scopes="run")]}),
]


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_broken_file_leaves_the_last_keys_in_force(
    path: Path, caplog: pytest.LogCaptureFixture, broken: Callable[[], str]
) -> None:
    ring = KeyRing(path)
    replace(path, broken())
    await until(lambda: known(ring, KEY) and "API keys not read" in caplog.text, 60)
    assert known(ring, KEY)


async def test_a_file_that_is_gone_leaves_the_last_keys_in_force(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ring = KeyRing(path)
    path.unlink()  # noqa: ASYNC240 (nothing else runs)
    await until(lambda: known(ring, KEY) and "API keys not read" in caplog.text, 60)


@pytest.mark.parametrize("broken", BROKEN)
def test_a_gateway_does_not_start_with_a_broken_file(path: Path, broken: Callable[[], str]) -> None:
    path.write_text(broken())
    with pytest.raises(ValueError):
        KeyRing(path)
