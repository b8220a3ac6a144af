"""Verbs under limits of the system, each in a process of its own: one sentence, and no traceback."""

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def headworks(*argv: str, before: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from cli.main import main; main()", *argv]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
        preexec_fn=before,
    )  # fmt: skip


def files(most: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@pytest.mark.parametrize("most", [12, 24, 64, 255])
def test_too_few_files_for_a_mesh(tmp_path: Path, most: int) -> None:
    ended = headworks("up", "--data", str(tmp_path / "data"), before=files(most))
    assert ended.returncode == 1
    line = ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
    assert line.startswith(f"headworks: a process may have {most} files open at most")
    assert "ulimit -n" in line
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("verb", [["ask", "x"], ["status"], ["run", "list"], ["version"], ["audit", "verify"]])
def test_too_few_files_for_any_verb(verb: list[str]) -> None:
    ended = headworks(*verb, before=files(12))
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
    assert "ulimit -n" in ended.stderr


@pytest.mark.parametrize(
    "data", ["/proc/headworks", "/dev/null/data", "/" + "x" * 300, "/" + "/".join(["x" * 200] * 30)]
)
@pytest.mark.parametrize(
    "verb", [["up", "--data"], ["status", "--data"], ["ask", "x", "--data"], ["backup", "/dev/null/x", "--data"]]
)
def test_a_directory_that_cannot_be(verb: list[str], data: str) -> None:
    ended = headworks(*verb, data)
    assert ended.returncode in (1, 2), ended.stderr
    assert ended.stderr or ended.stdout
    assert "Traceback" not in ended.stderr
