"""`headworks agents`, `sessions` and `models`."""

import json
from pathlib import Path
from typing import Any

import pytest
from headworks.orchestrator.v1 import run_pb2, tool_pb2

from tests.integration.cli.conftest import MakeCommand

Capture = pytest.CaptureFixture[str]


def told(capsys: Capture) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two specs, and a file that is none."""
    (tmp_path / "a.yaml").write_text("name: ann\nsteps: 1\n")
    (tmp_path / "b.yml").write_text("name: bob\nsteps: 1\n")
    (tmp_path / "notes.txt").write_text("bad")
    return tmp_path


async def test_a_folder_is_applied(make_command: MakeCommand, folder: Path, capsys: Capture) -> None:
    command = await make_command()
    assert await command("agents", "apply", str(folder), "--dry-run") == 0
    assert capsys.readouterr().out.splitlines() == ["ann: would be version 1", "bob: would be version 1"]
    assert command.agents.versions == {}
    assert await command("agents", "apply", str(folder)) == 0
    (folder / "a.yaml").write_text("name: ann\nsteps: 2\n")
    capsys.readouterr()
    assert await command("agents", "apply", str(folder)) == 0
    assert capsys.readouterr().out.splitlines() == ["ann: version 2", "bob: unchanged, version 1"]


async def test_a_bad_spec_is_named_and_the_others_applied(
    make_command: MakeCommand, folder: Path, capsys: Capture
) -> None:
    command = await make_command()
    (folder / "a.yaml").write_text("bad: 1\n")
    (folder / "c.yaml").write_bytes(b"\xff")
    assert await command("agents", "apply", str(folder)) == 1
    out = capsys.readouterr()
    assert out.out == "bob: version 1\n"
    assert f"{folder / 'a.yaml'}: line 2: limits.steps must be at least 1" in out.err
    assert "c.yaml is not valid UTF-8" in out.err
    assert await command("agents", "apply", str(folder), "--json") == 1
    assert ["error" in one for one in told(capsys)["agents"]] == [True, False, True]


async def test_agents_are_listed_shown_and_deleted(make_command: MakeCommand, folder: Path, capsys: Capture) -> None:
    command = await make_command()
    await command("agents", "apply", str(folder))
    (folder / "a.yaml").write_text("name: ann\nsteps: 2\n")
    await command("agents", "apply", str(folder / "a.yaml"))
    capsys.readouterr()
    assert await command("agents", "list", "--json") == 0
    assert [(one["name"], one["version"]) for one in told(capsys)["agents"]] == [("ann", 2), ("bob", 1)]
    assert await command("agents", "list", "ann", "--json") == 0
    assert [one["version"] for one in told(capsys)["agents"]] == [2, 1]
    assert await command("agents", "list") == 0
    assert "bob" in capsys.readouterr().out
    assert await command("agents", "get", "ann@1", "--yaml") == 0
    assert capsys.readouterr().out == "name: ann\nsteps: 1\n"
    assert await command("agents", "get", "ann") == 0
    assert "steps: 2" in capsys.readouterr().out
    assert await command("agents", "delete", "ann", "--yes") == 0
    assert capsys.readouterr().out == "Deleted 2 versions of ann.\n"
    assert await command("agents", "get", "ann") == 1
    assert "headworks agents list" in capsys.readouterr().err


async def test_specs_are_compared(make_command: MakeCommand, folder: Path, capsys: Capture) -> None:
    command = await make_command()
    spec = folder / "a.yaml"
    assert await command("agents", "diff", str(spec), "--exit-code") == 1
    assert "+name: ann" in capsys.readouterr().out
    await command("agents", "apply", str(spec))
    capsys.readouterr()
    assert await command("agents", "diff", str(spec), "--exit-code") == 0
    assert capsys.readouterr().out == "There is no difference.\n"
    spec.write_text("name: ann\nsteps: 2\n")
    assert await command("agents", "diff", str(spec)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["--- ann@1", f"+++ {spec}"]
    assert {"-steps: 1", "+steps: 2"} <= set(lines)
    await command("agents", "apply", str(spec))
    capsys.readouterr()
    for arguments in (("ann@1", "ann@2"), ("ann@1",)):
        assert await command("agents", "diff", *arguments, "--json") == 0
        assert {"-steps: 1", "+steps: 2"} <= set(told(capsys)["diff"])


async def test_sessions(make_command: MakeCommand, capsys: Capture) -> None:
    command = await make_command()
    assert await command("sessions", "list") == 0
    assert "--session" in capsys.readouterr().out
    call = tool_pb2.ToolCall(id="c", name="now", arguments="{}")
    command.sessions.messages["s1"] = [
        run_pb2.Message(role=run_pb2.Message.ROLE_USER, content="[what] time?"),
        run_pb2.Message(role=run_pb2.Message.ROLE_ASSISTANT, tool_calls=[call]),
        run_pb2.Message(role=run_pb2.Message.ROLE_TOOL, content="noon", tool_call_id="c"),
    ]
    assert await command("sessions", "list", "--json") == 0
    assert [(one["id"], one["messages"]) for one in told(capsys)["sessions"]] == [("s1", 3)]
    assert await command("sessions", "get", "s1") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == ["[before that] They met.", "user [what] time?", "assistant [calls now {}]", "tool noon"]
    assert await command("sessions", "get", "s1", "--json") == 0
    assert [one["role"] for one in told(capsys)["messages"]] == ["user", "assistant", "tool"]
    assert await command("sessions", "delete", "s1", "--yes") == 0
    assert await command("sessions", "delete", "s1", "--yes") == 1
    assert "headworks sessions list" in capsys.readouterr().err


async def test_models(make_command: MakeCommand, capsys: Capture) -> None:
    command = await make_command()
    assert await command("models", "--json") == 0
    rag, tiny = told(capsys)["models"]
    assert (rag["kind"], rag["version"], tiny["kind"]) == ("agent", 1, "model")
    assert (tiny["input_price"], tiny["context_length"], tiny["capabilities"]) == (0.25, 512, ["tools"])
    assert await command("models") == 0
    assert "tiny" in capsys.readouterr().out
