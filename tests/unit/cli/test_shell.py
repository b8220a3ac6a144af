"""Commands that are printed are right for a shell that knows neither this folder nor its virtual environment."""

import os
import shlex
import sys
from pathlib import Path

import click
import pytest

from cli import shell
from cli.mesh.screen import welcome
from cli.options import MeshOptions
from infra.local.state import MeshState

FOLDERS = ["plain", "with a blank", "it's", 'say "x"', "$HOME", "a;b", "ü", "back`tick", "new\\line", "ex!"]


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("text", ["What's new?", 'Say "$HOME" & go'])
def test_every_word_is_quoted(tmp_path: Path, name: str, text: str) -> None:
    program, *arguments = shlex.split(shell.headworks("ask", text, data=tmp_path / name))
    assert Path(program).name == "headworks"
    assert arguments == ["ask", text, "--data", str(tmp_path / name)]


def test_the_program_is_named_by_its_path_where_only_this_shell_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "venv" / "bin"
    own.mkdir(parents=True)
    for name in ("headworks", "python"):
        (own / name).write_text("#!/bin/sh\n")
        (own / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(own / "python"))
    monkeypatch.setenv("PATH", os.pathsep.join([str(own), "/usr/bin"]))
    assert shlex.split(shell.headworks("status", data=tmp_path))[0] == str(own / "headworks")
    elsewhere = tmp_path / "bin"
    elsewhere.mkdir()
    (elsewhere / "headworks").symlink_to(own / "headworks")
    monkeypatch.setenv("PATH", os.pathsep.join([str(own), str(elsewhere)]))
    assert shlex.split(shell.headworks("status", data=tmp_path))[0] == "headworks"


@pytest.mark.parametrize(
    ("data", "edge", "words"),
    [
        (Path("/d"), None, ["--data", "/d"]),
        (None, "http://h:1", ["--edge", "http://h:1"]),
        (Path("/d"), "http://h:1", ["--edge", "http://h:1", "--data", "/d"]),
    ],
)
def test_it_means_the_mesh_of_the_verb_and_has_no_key(data: Path | None, edge: str | None, words: list[str]) -> None:
    with click.Context(click.Command("verb")) as context:
        context.meta[MeshOptions.META] = MeshOptions(data, edge, "hw_secret", 1, False)
        assert shlex.split(shell.headworks("run", "list"))[1:] == ["run", "list", *words]


@pytest.mark.parametrize("name", FOLDERS)
def test_the_welcome_s_commands_are_whole(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "README.md").write_text("x")
    monkeypatch.chdir(tmp_path)
    key = tmp_path / name / "dev.key"
    state = MeshState(1, "running", "http://127.0.0.1:1", 0, True)
    commands = [
        line.strip() for line in welcome(key, state, True) if line.startswith("  ") and "  " not in line.strip()
    ]
    assert len(commands) == 5
    assert commands.pop(3).startswith("curl ")  # its quotes within quotes are for a real shell to read
    ingest, ask, talk, code = map(shlex.split, commands)
    assert ingest[1:] == ["ingest", str(tmp_path / "README.md"), "--data", str(key.parent)]
    assert ask[-2:] == talk[-2:] == ["--data", str(key.parent)]
    assert code[:2] == [sys.executable, "-c"]
    compile(code[2], "code", "exec")
    assert repr(str(key)) in code[2]
