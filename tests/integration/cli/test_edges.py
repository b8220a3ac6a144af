"""What the command says of an edge that is called in a wrong way."""

import asyncio

import pytest

from cli import program
from tests.fakes.agent_run import RUN_ID
from tests.integration.cli.conftest import MakeCommand


async def test_a_plain_edge_that_is_called_by_https(
    make_command: MakeCommand, capsys: pytest.CaptureFixture[str]
) -> None:
    command = await make_command()
    address = command.address.removeprefix("http://")
    argv = ["run", "show", RUN_ID, "--edge", f"https://{address}", "--key", "hw_x", "--timeout", "20"]
    assert await asyncio.to_thread(program.run, argv) == 1
    assert f"speaks http, not https: give --edge http://{address}" in capsys.readouterr().err


async def test_the_beginning_of_an_id_is_enough(make_command: MakeCommand, capsys: pytest.CaptureFixture[str]) -> None:
    command = await make_command()
    for length in range(len("run_") + 1, len(RUN_ID) + 1):
        assert await command("run", "show", RUN_ID[:length]) == 0
        assert RUN_ID in capsys.readouterr().out
