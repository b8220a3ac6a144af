"""The command where the environment names a proxy that does not answer."""

import asyncio

import pytest

from cli import program
from tests.fakes.agent_run import RUN_ID
from tests.integration.cli.conftest import MakeCommand

NOBODY = "http://127.0.0.1:1"
Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
async def test_a_mesh_of_this_machine_is_asked_directly(
    make_command: MakeCommand, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, NOBODY)
    command = await make_command()
    assert await command("run", "show", RUN_ID) == 0


async def test_the_variable_is_named_where_a_proxy_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("http_proxy", NOBODY)
    for other in ("https_proxy", "grpc_proxy", "no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(other, raising=False)
    argv = ["run", "list", "--edge", "http://mesh.example.com:8080", "--key", "hw_x", "--timeout", "20"]
    assert await asyncio.to_thread(program.run, argv) == 1
    told = capsys.readouterr().err
    assert "the proxy that http_proxy names" in told
    assert "add mesh.example.com to no_proxy" in told
