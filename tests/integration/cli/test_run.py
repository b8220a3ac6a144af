"""`headworks run`."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.agent_keeper import FakeRuns
from tests.fakes.agent_run import RUN_ID, until_approval, whole_run
from tests.integration.cli.conftest import MakeCommand

HEADWORKS = Path(sys.executable).with_name("headworks")
Capture = pytest.CaptureFixture[str]


def sequences(capsys: Capture) -> list[int]:
    return [int(json.loads(line)["sequence"]) for line in capsys.readouterr().out.splitlines()]


async def test_a_run_is_started_and_shown(make_command: MakeCommand, capsys: Capture) -> None:
    command = await make_command()
    assert await command("run", "start", "analyst", "why?", "--session", "s", "--collection", "docs") == 0
    assert "It is 391." in capsys.readouterr().out
    (asked,) = command.runs.asked
    assert (asked.model, asked.session_id, asked.collection, asked.detached) == ("analyst", "s", "docs", True)
    assert await command("run", "start", "analyst", "why?", "--detach", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"run_id": RUN_ID}


async def test_watching_goes_on_where_a_stream_broke(make_command: MakeCommand, capsys: Capture) -> None:
    command = await make_command(FakeRuns(whole_run(), breaks=(2, 5)))
    assert await command("run", "watch", RUN_ID, "--json") == 0
    assert sequences(capsys) == list(range(1, 15))
    assert command.runs.attached == [0, 2, 5]


async def test_starting_goes_on_where_a_stream_broke(make_command: MakeCommand, capsys: Capture) -> None:
    command = await make_command(FakeRuns(whole_run(), breaks=(3,)))
    assert await command("run", "start", "analyst", "why?", "--json") == 0
    assert sequences(capsys) == list(range(1, 15))
    assert command.runs.attached == [3]


async def test_watching_after_a_sequence_number(make_command: MakeCommand, capsys: Capture) -> None:
    command = await make_command()
    assert await command("run", "watch", RUN_ID, "--after", "12", "--json") == 0
    assert sequences(capsys) == [13, 14]


@pytest.mark.parametrize("verb", ["watch", "explain", "show"])
async def test_a_run_that_nobody_knows(make_command: MakeCommand, verb: str, capsys: Capture) -> None:
    command = await make_command()
    assert await command("run", verb, "run_none") == 1
    assert "headworks run list" in capsys.readouterr().err


async def test_explaining(make_command: MakeCommand, capsys: Capture) -> None:
    command = await make_command()
    assert await command("run", "explain", RUN_ID) == 0
    assert "dev refused apr_1: too much" in capsys.readouterr().out
    assert await command("run", "explain", RUN_ID, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["run_id"], told["entries"][0]["at"]) == (RUN_ID, 0.0)


async def test_explaining_a_run_that_waits(make_command: MakeCommand, capsys: Capture) -> None:
    command = await make_command(FakeRuns(until_approval()))
    assert await command("run", "explain", RUN_ID) == 0
    assert f"headworks run decide {RUN_ID} apr_1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "approved", "words"),
    [
        (["apr_1", "--yes"], True, "Approved apr_1"),
        (["--no", "--comment", "too much"], False, "Refused apr_1"),
    ],
)
async def test_deciding(
    make_command: MakeCommand, arguments: list[str], approved: bool, words: str, capsys: Capture
) -> None:
    command = await make_command(FakeRuns(until_approval()))
    command.runs.run.pending_approvals.append("apr_1")
    assert await command("run", "decide", RUN_ID, *arguments) == 0
    assert words in capsys.readouterr().out
    (decided,) = command.runs.decided
    assert (decided.approval_id, decided.approved) == ("apr_1", approved)


@pytest.mark.parametrize(("pending", "words"), [([], "waits for no approval"), (["a", "b"], "one of a, b")])
async def test_deciding_what_is_not_clear(
    make_command: MakeCommand, pending: list[str], words: str, capsys: Capture
) -> None:
    command = await make_command()
    command.runs.run.pending_approvals.extend(pending)
    assert await command("run", "decide", RUN_ID, "--yes") > 0
    assert words in capsys.readouterr().err
    assert command.runs.decided == []


async def test_listing_by_state(make_command: MakeCommand, capsys: Capture) -> None:
    command = await make_command()
    command.runs.run.pending_approvals.append("apr_1")
    assert await command("run", "list", "--state", "waiting", "--session", "s", "--json") == 0
    (asked,) = command.runs.listed
    assert (asked.state, asked.session_id, asked.page_size) == (5, "s", 20)
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["runs"][0]["pending_approvals"] == ["apr_1"]
    assert await command("run", "list") == 0
    assert "apr_1" in capsys.readouterr().out


async def test_cancelling(make_command: MakeCommand) -> None:
    command = await make_command()
    assert await command("run", "cancel", RUN_ID) == 0
    assert command.runs.cancelled == [RUN_ID]


async def test_ask_says_what_it_waits_for(make_command: MakeCommand, capsys: Capture) -> None:
    command = await make_command()
    assert await command("ask", "why?", "--agent", "analyst", "--session", "s") == 0
    told = capsys.readouterr()
    assert told.out.startswith("It is 391.")
    assert f"headworks run decide {RUN_ID} apr_1 --yes" in told.err
    (asked,) = command.runs.asked
    assert (asked.model, asked.session_id) == ("analyst", "s")


async def test_ctrl_c_cancels_a_run_that_was_started(make_command: MakeCommand) -> None:
    command = await make_command(FakeRuns(until_approval(), hangs=True))
    argv = ["run", "start", "analyst", "why?", "--json", "--edge", command.address, "--key", "hw_x"]
    process = await asyncio.create_subprocess_exec(HEADWORKS, *argv, stdout=PIPE, stderr=PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            for _ in until_approval():
                await process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, error = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    said = f"headworks: interrupted: {RUN_ID} was cancelled"
    assert (process.returncode, error.decode().strip()) == (130, said)
    assert command.runs.cancelled == [RUN_ID]
