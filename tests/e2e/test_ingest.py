"""Ingestion by the command, good files and bad."""

import json
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfWriter

from tests.e2e.meshes import Mesh


def ingest(mesh: Mesh, folder: Path, name: str, *options: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the summary."""
    done = mesh.command("ingest", ".", "--collection", name, "--json", *options, cwd=folder)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def counts(summary: dict[str, Any]) -> dict[str, int]:
    return {key: summary[key] for key in ("created", "replaced", "unchanged", "failed", "deleted")}


def documents(mesh: Mesh, name: str) -> set[str]:
    listed = json.loads(mesh.command("collections", "documents", name, "--json").stdout)
    return {document["id"] for document in listed["documents"]}


def only(**changed: int) -> dict[str, int]:
    return {"created": 0, "replaced": 0, "unchanged": 0, "failed": 0, "deleted": 0} | changed


def test_a_folder_again_and_again(mesh: Mesh, tmp_path: Path) -> None:
    (tmp_path / "one.md").write_text("# One\n\nThe lighthouse keeper is called Brigid.\n")
    (tmp_path / "two.txt").write_text("The ferry leaves at seven.\n")
    (tmp_path / "three.html").write_text("<html><title>Three</title><body><p>Tea costs two crowns.</p></body></html>")
    code, summary = ingest(mesh, tmp_path, "again")
    assert (code, counts(summary)) == (0, only(created=3))
    code, summary = ingest(mesh, tmp_path, "again")
    assert (code, counts(summary)) == (0, only(unchanged=3))
    (tmp_path / "two.txt").write_text("The ferry leaves at nine.\n")
    code, summary = ingest(mesh, tmp_path, "again")
    assert (code, counts(summary)) == (0, only(unchanged=2, replaced=1))
    answer = json.loads(mesh.command("ask", "When does the ferry leave?", "--collection", "again", "--json").stdout)
    assert "nine" in answer["answer"]
    assert "seven" not in answer["answer"]
    (tmp_path / "one.md").unlink()
    code, summary = ingest(mesh, tmp_path, "again")
    assert counts(summary) == only(unchanged=2)
    assert "one.md" in documents(mesh, "again")
    code, summary = ingest(mesh, tmp_path, "again", "--delete-missing")
    assert counts(summary) == only(unchanged=2, deleted=1)
    assert documents(mesh, "again") == {"two.txt", "three.html"}


def test_bad_files_fail_alone(mesh: Mesh, tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"good{number}.txt").write_text(f"Shelf {number} holds jar number {number * 7}.")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 9 0 R >>\ngarbage")
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "latin.txt").write_bytes("Das ist schön und größer".encode("latin-1"))
    (tmp_path / "empty.md").write_text("")
    with (tmp_path / "huge.txt").open("wb") as huge:
        huge.write(b"word " * (10 << 20))
    code, summary = ingest(mesh, tmp_path, "mixed")
    assert code == 1
    assert summary["created"] == 30
    failed = {failure["document_id"] for failure in summary["failures"]}
    assert failed >= {"broken.pdf", "latin.txt", "empty.md", "huge.txt"}
    assert all(failure["message"] for failure in summary["failures"])
    assert len(documents(mesh, "mixed")) == 30


def test_a_pdf_without_text_says_so(mesh: Mesh, tmp_path: Path) -> None:
    writer = PdfWriter()
    writer.add_blank_page(200, 200)
    writer.write(tmp_path / "blank.pdf")
    code, summary = ingest(mesh, tmp_path, "scans")
    assert code == 1
    assert summary["failures"][0]["reason"] == "DOCUMENT_EMPTY"


def test_an_unknown_collection_is_named_with_those_there_are(mesh: Mesh) -> None:
    asked = mesh.command("ask", "anything", "--collection", "nowhere")
    assert asked.returncode == 1
    assert "nowhere" in asked.stderr
    assert "handbook" in asked.stderr
    assert "Traceback" not in asked.stderr


@pytest.mark.parametrize("verb", [["search", "waggle dance"], ["ask", "What is a waggle dance for?"]])
def test_search_and_ask_print_json(mesh: Mesh, verb: list[str]) -> None:
    printed = mesh.command(*verb, "--collection", "handbook", "--json")
    assert printed.returncode == 0, printed.stderr
    assert "bees.md" in json.dumps(json.loads(printed.stdout))


def test_every_setting_has_its_source(mesh: Mesh) -> None:
    shown = json.loads(mesh.command("config", "--json").stdout)
    text = json.dumps(shown)
    for service in ("gateway", "orchestrator", "retrieval", "control", "models"):
        assert service in text
    assert "default" in text
