"""A mesh that is backed up while it works, and another one that goes on from the backup."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.callers import told
from tests.e2e.conftest import HANDBOOK
from tests.e2e.meshes import HEADWORKS, Mesh, running

QUESTIONS = ("Where does the Rhine flow?", "How many eggs does a queen lay?", "Where does the Danube rise?")


def run(*arguments: str) -> Any:
    ended = subprocess.run([HEADWORKS, *arguments, "--json"], capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return json.loads(ended.stdout)


@contextmanager
def busy(mesh: Mesh, folder: Path) -> Iterator[list[Any]]:
    """Ingestions and questions without a pause; what they ended with."""
    stop, ended = threading.Event(), list[Any]()

    def ingest() -> None:
        number = 0
        while not stop.is_set():
            for name in range(8):
                text = "\n\n".join(f"Note {number} {name} {at}: " + "words of no use " * 40 for at in range(12))
                (folder / f"{name}.txt").write_text(text)
            ended.append(mesh.command("ingest", str(folder), "--collection", "notes", "--json"))
            number += 1

    def ask() -> None:
        while not stop.is_set():
            ended.append(mesh.command("ask", QUESTIONS[0], "--collection", "handbook", "--json"))

    threads = [threading.Thread(target=work) for work in (ingest, ask)]
    for thread in threads:
        thread.start()
    try:
        yield ended
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, handbook: Path) -> Iterator[Mesh]:
    with running(tmp_path_factory.mktemp("original") / "data") as mesh:
        ingested = mesh.command("ingest", ".", "--collection", "handbook", "--json", cwd=handbook)
        assert ingested.returncode == 0, ingested.stdout + ingested.stderr
        yield mesh


def test_a_mesh_goes_on_from_a_backup_that_was_made_under_load(original: Mesh, tmp_path: Path) -> None:
    answers = {question: told(original, "ask", question, "--collection", "handbook") for question in QUESTIONS}
    account = told(original, "accounts", "create", "clerk", "--role", "user")
    key = told(original, "keys", "create", account["id"], "--name", "kept")["secret"]
    runs = {one["id"]: one for one in told(original, "run", "list", "--limit", "1000")["runs"]}
    (tmp_path / "notes").mkdir()
    with busy(original, tmp_path / "notes") as ended:
        while len(ended) < 3:
            threading.Event().wait(0.05)
        made = run("backup", str(tmp_path / "mesh.tar"), "--data", str(original.data))
        during = len(ended)
        while len(ended) < during + 3:  # it goes on as before
            threading.Event().wait(0.05)
    assert {one.returncode for one in ended} == {0}, [one.stdout + one.stderr for one in ended if one.returncode]
    assert made["collections"] in (1, 2)
    assert made["elsewhere"] == []
    checked = run("restore", made["file"], "--check")
    assert checked["files"] == made["files"]
    refused = subprocess.run(
        [HEADWORKS, "restore", made["file"], "--data", str(original.data), "--replace"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (refused.returncode, "a mesh is running" in refused.stderr) == (1, True)

    data = tmp_path / "elsewhere" / "data"
    run("restore", made["file"], "--data", str(data))
    with running(data) as mesh:
        assert mesh.key == original.key
        for question, answer in answers.items():
            again = told(mesh, "ask", question, "--collection", "handbook")
            assert (again["answer"], again["citations"]) == (answer["answer"], answer["citations"])
        names = {one["name"]: one["documents"] for one in told(mesh, "collections")["collections"]}
        assert names["handbook"] == len(HANDBOOK)
        restored = {one["id"]: one for one in told(mesh, "run", "list", "--limit", "1000")["runs"]}
        assert {name: restored[name] for name in runs} == runs
        assert mesh.command("ask", QUESTIONS[0], "--collection", "handbook", "--key", key).returncode == 0
        assert told(mesh, "audit", "verify")["sound"]
        if "notes" in names:
            assert told(mesh, "ingest", str(tmp_path / "notes"), "--collection", "notes")["failed"] == 0
    assert told(original, "audit", "verify")["sound"]
