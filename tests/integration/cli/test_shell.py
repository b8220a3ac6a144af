"""Commands that are printed, given to a shell that knows nothing: no folder, no virtual environment, no PATH."""

import subprocess
from pathlib import Path

import pytest

from cli import shell
from cli.mesh.screen import curl, python
from tests.unit.cli.test_shell import FOLDERS

KEY = "hw_of-the-test"


def fresh(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", command], cwd="/", env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def test_a_verb_runs_and_finds_its_mesh(tmp_path: Path) -> None:
    data = tmp_path / "it's $HOME here"
    done = fresh(shell.headworks("status", data=data))
    assert f"no mesh on {data}" in done.stdout + done.stderr


@pytest.mark.parametrize("name", FOLDERS)
def test_curl_sends_the_key_of_the_file(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "dev.key").write_text(f"{KEY}\n")
    done = fresh(f"curl() {{ printf '%s\\n' \"$@\"; }}\n{curl(folder / 'dev.key', 'http://127.0.0.1:1')}")
    assert done.returncode == 0, done.stderr
    assert f"Authorization: Bearer {KEY}" in done.stdout.splitlines()


@pytest.mark.parametrize("name", ["plain", "it's $HOME", 'say "x"'])
def test_python_reads_the_key_and_asks(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "dev.key").write_text(f"{KEY}\n")
    done = fresh(python(folder / "dev.key", "http://127.0.0.1:1"))
    assert "APIConnectionError" in done.stderr, done.stderr
