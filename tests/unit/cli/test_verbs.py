"""The command line: help, usage, where the mesh is found, what failures look like."""

import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from rich.console import Console

from cli import program
from cli.documents.ingest import skipped
from cli.documents.scan import find_files
from cli.edge import Edge, find_data, find_edge, normal_url
from cli.errors import CliError
from cli.files import destination
from cli.mesh.status import mesh_table
from cli.options import agreed
from infra.local import state
from infra.local.layout import Layout, write_private
from infra.local.lock import DirectoryLock
from infra.local.state import MeshState
from services.models.llm.check import CannotServe, model_name
from services.runtime.file_faults import why


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("HEADWORKS_DATA", "HEADWORKS_EDGE", "HEADWORKS_KEY", "HEADWORKS_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def a_mesh(folder: Path) -> DirectoryLock:
    layout = Layout(folder)
    layout.make()
    write_private(layout.dev_key, "hw_key\n")
    state.write(layout.state, MeshState(1, "running", "http://127.0.0.1:8123", time.time(), True))
    lock = DirectoryLock(layout.lock)
    lock.take()
    return lock


BELOW = [
    ["collections", "delete"], *(["run", verb] for verb in ("start", "list", "show", "watch", "explain", "decide",
    "cancel")), *(["agents", verb] for verb in ("apply", "list", "get", "diff", "delete")),
    *(["prompts", verb] for verb in ("apply", "create", "list", "versions", "show", "diff", "render", "delete")),
    *(["sessions", verb] for verb in ("list", "get", "delete")),
    *(["certs", verb] for verb in ("make", "show")),
    *(["mcp", "servers", *verb] for verb in ([], ["put"], ["list"], ["tools"], ["delete"])),
]  # fmt: skip


@pytest.mark.parametrize("verb", [[], *([verb] for verb in program.VERBS), *BELOW])
def test_every_verb_has_help(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run([*verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Usage: headworks" in text
    assert "Example" in text or not verb
    assert "--json" in text or verb == [] or "COMMAND [ARGS]" in text


def verbs(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    """Every verb of the command, with its name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from verbs(found, *path, name)
        elif found is not None:
            yield " ".join((*path, name)), found


def test_no_option_takes_the_place_of_another() -> None:
    """Such as --of-key that of --key, which every verb has."""
    for name, verb in verbs(program.headworks):
        names = [param.name for param in verb.params]
        assert len(names) == len(set(names)), name


@pytest.mark.parametrize(
    "arguments",
    [
        ["frob"], ["ask"], ["ask", "a", "b"], ["ask", "x", "--max-passages", "99"], ["up", "--edge-port", "0"],
        ["up", "--replicas", "envoy=2"], ["up", "--replicas", "retrieval=2"], ["up", "--config", "none.toml"],
        ["search", "x", "--where", "nonsense"], ["ingest", "nothing-here"], ["ingest", ""], ["ask", "x", "--edge", "ftp://a"],
        ["config", "nope"], ["run", "list", "--state", "odd"], ["run", "decide", "run_1", "--edge", "h", "--key", "k"],
        ["run", "decide", "run_1", "--no", "--replacement", "x"], ["agents", "apply"], ["agents", "apply", "nothing"],
        ["agents", "get", "Not A Name"], ["agents", "get", "rag@0"], ["agents", "delete", "rag@x"],
        ["ask", "\udcff", "--edge", "h", "--key", "k"], ["tenants", "create", "\udcff", "--edge", "h", "--key", "k"],
    ],
)  # fmt: skip
def test_wrong_usage_exits_with_2(nowhere: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(arguments) == 2
    assert capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["ask", "x"], ["search", "x"], ["collections"], ["run", "list"]])
def test_without_a_mesh_it_says_how_to_start_one(
    nowhere: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.run(arguments) == 1
    assert "headworks up" in capsys.readouterr().err


def test_an_edge_that_nobody_serves(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["ask", "x", "--edge", "http://127.0.0.1:1", "--key", "hw_x", "--timeout", "5"]) == 1
    error = capsys.readouterr().err
    assert "http://127.0.0.1:1" in error
    assert "Traceback" not in error


def test_status_when_nothing_runs(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["status", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["running"] is False


def test_status_of_a_running_mesh(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = a_mesh(nowhere / ".headworks")
    assert program.run(["status", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["running"], told["edge"]) == (True, "http://127.0.0.1:8123")
    assert program.run(["status"]) == 0
    lock.release()


@pytest.mark.parametrize(
    ("lock_age", "phase", "trouble"),
    [
        (0, "running", "the supervisor (process 1) cannot write mesh.json, so how it stands is not known since 6"),
        (60, "silent", "the supervisor (process 1) has not been heard from for 6"),
    ],
)
def test_status_tells_a_supervisor_that_cannot_write_from_one_that_does_not_run(
    nowhere: Path, capsys: pytest.CaptureFixture[str], lock_age: int, phase: str, trouble: str
) -> None:
    data, now = nowhere / ".headworks", time.time()
    lock = a_mesh(data)
    os.utime(data / "mesh.json", (now - 60, now - 60))
    os.utime(data / "lock", (now - lock_age, now - lock_age))
    assert program.run(["status", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["running"], told["ready"], told["phase"]) == (True, False, phase)
    assert told["trouble"].startswith(trouble)
    found = state.running(Layout(data))
    assert found is not None
    out = Console(width=240, file=io.StringIO())
    out.print(mesh_table(found, 240))
    assert f"{phase}: {trouble}" in out.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    lock.release()


def test_a_disk_without_room_is_full(tmp_path: Path) -> None:
    assert state.is_full(Path("/proc"))
    assert not state.is_full(tmp_path)


def test_the_ca_of_the_edge_comes_from_the_option_or_the_running_mesh(
    nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = Layout(nowhere / ".headworks")
    lock = a_mesh(layout.root)
    ca = nowhere / "ca.crt"
    state.write(layout.state, MeshState(1, "running", "https://127.0.0.1:1", time.time(), True, ca=str(ca)))
    assert find_edge(layout.root, None, None).ca == ca
    assert find_edge(layout.root, "https://other.example", None).ca is None
    assert program.run(["models"]) == 1
    assert f"the CA {ca} cannot be read" in capsys.readouterr().err
    given = nowhere / "given.crt"
    assert program.run(["models", "--ca", str(given)]) == 2
    given.write_text("no certificate")
    capsys.readouterr()
    assert program.run(["models", "--ca", str(given), "--timeout", "1"]) == 1
    assert "the CA" not in capsys.readouterr().err
    lock.release()


def test_the_data_directory_is_found_from_below(nowhere: Path) -> None:
    lock = a_mesh(nowhere / ".headworks")
    below = nowhere / "a" / "b"
    below.mkdir(parents=True)
    assert find_data(None, below) == nowhere / ".headworks"
    assert find_data(Path("other"), below) == nowhere / "other"
    assert find_edge(nowhere / ".headworks", None, None) == Edge("http://127.0.0.1:8123", "hw_key")
    lock.release()
    with pytest.raises(CliError, match="no mesh is running"):
        find_edge(nowhere / ".headworks", None, None)


def test_what_is_given_goes_before_what_is_found(nowhere: Path) -> None:
    assert find_edge(None, "example.org:1234", "hw_mine") == Edge("http://example.org:1234", "hw_mine")
    with pytest.raises(CliError, match="--key"):
        find_edge(None, "example.org:1234", None)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("localhost", "http://localhost:80"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://mesh.example/", "https://mesh.example:443"),
        ("http://[::1]:9", "http://[::1]:9"),
    ],
)
def test_addresses(given: str, url: str) -> None:
    assert normal_url(given) == url


@pytest.mark.parametrize("given", ["", "http://", "ftp://a", "http://a:b", "http://a:99999"])
def test_what_is_no_address(given: str) -> None:
    with pytest.raises(CliError):
        normal_url(given)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["grpcio"]


@pytest.mark.parametrize(
    ("verb", "hint"),
    [("down", "Ctrl-C"), ("stop", "kill PID"), ("restart", "headworks up"), ("start", "headworks run start")],
)
def test_what_others_call_it_is_told_with_how_it_is_done(
    verb: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.run([verb]) == 2
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["up", "demo"])
def test_a_model_without_a_name_is_refused(verb: str, nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run([verb, "--llm", ""]) == 2
    assert "--llm names no model" in capsys.readouterr().err


def test_a_no_is_not_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: "n")
    with pytest.raises(CliError, match="nothing was changed or deleted") as caught:
        agreed("Delete it?")
    assert caught.value.code == 1


@pytest.mark.parametrize("verb", [["models", "check"], ["tools", "check"], ["search"]])
def test_examples_fit_a_terminal(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run([*verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Example" in text
    assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize(
    ("content", "names", "told"),
    [
        (b"", "a/b.yaml", "there is no folder "),
        ("Grüße".encode("latin1"), "latin.yaml", "is not valid UTF-8: convert it"),
    ],
)
@pytest.mark.parametrize("verb", [["tools", "check"], ["models", "check"], ["agents", "apply"]])
def test_a_file_that_cannot_be_read(
    verb: list[str], content: bytes, names: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / names
    if content:
        file.write_bytes(content)
        argv = [*verb, str(file), *(["--edge", "http://127.0.0.1:1", "--key", "k"] if verb[0] == "agents" else [])]
        assert program.run(argv) != 0
        assert told in capsys.readouterr().err
    else:
        with pytest.raises(FileNotFoundError) as caught:
            file.open()
        assert why(caught.value) == f"{told}{file.parent}"


def test_a_file_that_is_written_where_no_folder_is(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="there is no folder"), destination(tmp_path / "nope" / "x.csv"):
        pass


def test_few_files_that_were_skipped_are_named(tmp_path: Path) -> None:
    for name in ("a.zip", "b.doc", "c.md"):
        (tmp_path / name).write_text("x")
    assert skipped(find_files(["."], tmp_path)) == ["2 of another type (a.zip, b.doc)"]
    for number in range(9):
        (tmp_path / f"{number}.zip").write_text("x")
    assert skipped(find_files(["."], tmp_path)) == ["11 of another type"]


def test_a_model_that_is_nearly_the_one_that_comes_along() -> None:
    with pytest.raises(CannotServe, match="did you mean smollm2"):
        model_name("smolm2")
