"""The options that verbs share, before and behind the verb of a group."""

from pathlib import Path

import click
import pytest

from cli import program
from cli.options import MeshOptions, ca_option, on_mesh


@click.group(invoke_without_command=True)
@on_mesh(30)
def group(on: MeshOptions) -> None:
    pass


@group.command()
@on_mesh(60)
def verb(on: MeshOptions) -> tuple[object, ...]:
    return (on.data, on.edge, on.key, on.timeout, on.as_json, ca_option())


def run(*arguments: str) -> tuple[object, ...]:
    result: tuple[object, ...] = group.main(list(arguments), standalone_mode=False)
    return result


@pytest.mark.parametrize("env", [True, False])
def test_what_a_group_is_given_is_its_verbs(env: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca, other = tmp_path / "ca.pem", tmp_path / "other.pem"
    ca.touch()
    other.touch()
    given = ["--data", "d", "--edge", "http://h:1", "--key", "k", "--timeout", "5", "--json", "--ca", str(ca)]
    for name, value in (("DATA", "env"), ("EDGE", "http://env:1"), ("KEY", "env"), ("CA", str(other))):
        if env:
            monkeypatch.setenv(f"HEADWORKS_{name}", value)
        else:
            monkeypatch.delenv(f"HEADWORKS_{name}", raising=False)
    expected = (Path("d"), "http://h:1", "k", 5.0, True, ca)
    assert run(*given, "verb") == run("verb", *given) == expected
    again = ["--data", "e", "--key", "l", "--timeout", "6", "--ca", str(other)]
    assert run(*given, "verb", *again) == (Path("e"), "http://h:1", "l", 6.0, True, other)
    without = (Path("env"), "http://env:1", "env", 60, False, other) if env else (None, None, None, 60, False, None)
    assert run("verb") == without


def test_the_collections_of_a_mesh_that_is_named_before_the_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HEADWORKS_EDGE", raising=False)
    monkeypatch.chdir(tmp_path)
    program.run(["collections", "documents", "docs", "--data", "there"])
    behind = capsys.readouterr().err
    assert "there" in behind
    program.run(["collections", "--data", "there", "documents", "docs"])
    assert capsys.readouterr().err == behind
