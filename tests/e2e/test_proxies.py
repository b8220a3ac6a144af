"""A mesh on a machine whose environment names a proxy, as companies' laptops do."""

from pathlib import Path

import pytest

from tests.e2e.meshes import running

NOBODY = "http://127.0.0.1:1"


def test_a_mesh_becomes_ready_and_answers_whatever_proxy_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy answers nobody, so that whatever went by way of it would fail."""
    for variable in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(variable, NOBODY)
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    (tmp_path / "bees.md").write_text("# Bees\n\nA queen is the mother of all bees of her hive.\n")
    with running(tmp_path / "data") as mesh:
        ingested = mesh.command("ingest", str(tmp_path / "bees.md"))
        assert ingested.returncode == 0, ingested.stdout + ingested.stderr
        asked = mesh.command("ask", "What is a queen?")
        assert asked.returncode == 0, asked.stdout + asked.stderr
        assert "mother" in asked.stdout
