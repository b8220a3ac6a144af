"""Runs and answers that end early: the exit code, what came, and what is said of it."""

import asyncio
import json
import os
import pty
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import run_event_pb2, run_pb2
from headworks.orchestrator.v1.run_event_pb2 import RunEvent

from services.runtime.errors import ErrorKind, Unavailable, UpstreamError
from tests.fakes.agent_keeper import FakeRuns
from tests.fakes.agent_run import RUN_ID, numbered
from tests.integration.cli.conftest import Command, MakeCommand

HEADWORKS = Path(sys.executable).with_name("headworks")
Capture = pytest.CaptureFixture[str]
SECONDS = 60.0
BROKEN_OFF = ("ERROR", "CANCELLED", "DEADLINE_EXCEEDED")


def a_run(*texts: str, reason: str = "") -> list[RunEvent]:
    texts_of = [RunEvent(text=run_event_pb2.TextDelta(text=text)) for text in texts]
    ended = run_event_pb2.RunFinished(reason=getattr(run_pb2, f"FINISH_REASON_{reason}")) if reason else None
    return numbered([
        RunEvent(started=run_event_pb2.RunStarted(model="rag")), *texts_of,
        *([RunEvent(finished=ended)] if ended else []),
    ])  # fmt: skip


class Ending(FakeRuns):
    """A run whose stream ends as `how` says once its events are out, the first that follows it, and no other."""

    def __init__(self, events: list[RunEvent], how: Exception | grpc.StatusCode | None = None, **more: Any) -> None:
        super().__init__(events, **more)
        self.how = how
        self.out = asyncio.Event()

    async def Run(self, request: pb.RunRequest, context: Any) -> AsyncIterator[pb.RunResponse]:  # noqa: N802
        async for response in super().Run(request, context):
            self.out.set()
            yield response
        if isinstance(self.how, grpc.StatusCode):
            await context.abort(self.how, "Stream removed (RST_STREAM with error code 2)")
        elif self.how is not None:
            raise self.how

    async def Attach(self, request: pb.AttachRequest, context: Any) -> AsyncIterator[pb.AttachResponse]:  # noqa: N802
        if self.how:
            raise Unavailable("nobody is there")
        async for response in super().Attach(request, context):
            yield response

    async def Cancel(self, request: pb.CancelRequest, context: Any) -> pb.CancelResponse:  # noqa: N802
        if self.how:
            raise Unavailable("nobody is there")
        return await super().Cancel(request, context)


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("reason", [name.removeprefix("FINISH_REASON_") for name in run_pb2.FinishReason.keys()[1:]])
@pytest.mark.parametrize("verb", [["ask", "why?"], ["run", "start", "rag", "why?"], ["run", "watch", RUN_ID]])
async def test_all_verbs_that_follow_a_run_end_by_one_rule(
    make_command: MakeCommand, verb: list[str], reason: str, as_json: bool, capsys: Capture
) -> None:
    command = await make_command(FakeRuns(a_run("Hello", reason=reason)))
    code = await command(*verb, *(["--json"] if as_json else []))
    printed = capsys.readouterr()
    assert code == (1 if reason in BROKEN_OFF else 0), printed.err
    assert (RUN_ID in printed.err) == (reason in BROKEN_OFF)
    assert "Hello" in printed.out


ERROR = UpstreamError(ErrorKind.UNAVAILABLE, "LLM_UNAVAILABLE", "the model is gone")


@pytest.mark.parametrize("how", [ERROR, *(grpc.StatusCode[name] for name in ("INTERNAL", "UNKNOWN", "CANCELLED"))])
async def test_json_of_an_answer_that_broke_off_has_what_came(
    make_command: MakeCommand, how: Any, capsys: Capture
) -> None:
    command = await make_command(Ending(a_run("Hello ", "there"), how))
    assert await command("ask", "why?", "--json") == 1
    printed = capsys.readouterr()
    assert (json.loads(printed.out)["answer"], json.loads(printed.out)["run_id"]) == ("Hello there", RUN_ID)
    (line,) = printed.err.splitlines()
    assert "RST_STREAM" not in line
    assert ("broke off the answer" in line) == (how is not ERROR)


async def test_json_of_an_answer_of_which_nothing_came_is_none(make_command: MakeCommand, capsys: Capture) -> None:
    assert await (await make_command(Ending(a_run(), None)))("ask", "why?", "--json") == 0
    capsys.readouterr()
    command = await make_command(Ending([RunEvent(run_id=RUN_ID)], ERROR))
    command.runs.events = []
    assert await command("ask", "why?", "--json") == 1
    assert capsys.readouterr().out == ""


async def on_terminal(command: Command, *argv: str, then: signal.Signals | None = None) -> tuple[int, str]:
    """The exit code, and what a terminal got of the command, which gets a signal once all that comes has come."""
    own, terminal = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        HEADWORKS, *argv, "--edge", command.address, "--key", "hw_x", stdin=DEVNULL, stdout=terminal, stderr=terminal,
        env={**os.environ, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "80"},
    )  # fmt: skip
    os.close(terminal)
    reading = asyncio.create_task(asyncio.to_thread(read_all, own, "Hello" if then else ""))
    try:
        async with asyncio.timeout(SECONDS):
            if then:
                await reading
                process.send_signal(then)
            first = await reading
            rest = await asyncio.to_thread(read_all, own) if then else ""
            return await process.wait(), first + rest
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(own)


def read_all(terminal: int, until: str = "") -> str:
    """What comes, to its end or to the text `until`."""
    read = b""
    while not until or until.encode() not in read:
        try:
            some = os.read(terminal, 1 << 16)
        except OSError:  # the other side is closed
            break
        if not some:
            break
        read += some
    return read.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("how", ["error", "timeout", "interrupt"])
async def test_a_terminal_gets_all_that_came_and_the_error_on_a_line_of_its_own(
    make_command: MakeCommand, how: str
) -> None:
    runs = Ending(a_run("Hello ", "there"), ERROR) if how == "error" else FakeRuns(a_run("Hello there"), hangs=True)
    command = await make_command(runs)
    options = ["--timeout", "3" if how == "timeout" else "50"]
    code, text = await on_terminal(command, "ask", "why?", *options, then=signal.SIGINT if how == "interrupt" else None)
    assert code == (130 if how == "interrupt" else 1)
    said, error = text.replace("^C", "").strip().split("\n", 1)
    assert said == "Hello there"
    assert error.strip().startswith("headworks: ")


async def interrupted(command: Command, *argv: str, lines: int = 1) -> tuple[int, list[str], str]:
    """The exit code, the lines and the error of the command, which gets Ctrl-C once so many lines have come."""
    process = await asyncio.create_subprocess_exec(
        HEADWORKS, *argv, "--json", "--edge", command.address, "--key", "hw_x", stdout=PIPE, stderr=PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(SECONDS):
            first = [await process.stdout.readline() for _ in range(lines)]
            if isinstance(command.runs, Ending):
                await command.runs.out.wait()
            process.send_signal(signal.SIGINT)
            out, error = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, (b"".join(first) + out).decode().splitlines(), error.decode().strip()


async def test_ctrl_c_of_watching_says_how_to_watch_again(make_command: MakeCommand) -> None:
    command = await make_command(FakeRuns(a_run("Hello")))
    code, lines, error = await interrupted(command, "run", "watch", RUN_ID, lines=2)
    assert (code, len(lines)) == (130, 2)
    assert "the run is left as it is" in error
    assert f"headworks run watch {RUN_ID}" in error


async def test_ctrl_c_of_starting_says_where_the_run_could_not_be_cancelled(make_command: MakeCommand) -> None:
    command = await make_command(Ending(a_run("Hello"), Unavailable("gone")))
    code, _, error = await interrupted(command, "run", "start", "rag", "why?", lines=2)
    assert code == 130
    assert f"{RUN_ID} could not be cancelled" in error
    assert f"headworks run cancel {RUN_ID}" in error


async def test_a_mesh_that_is_gone_is_said_to_be_while_it_is_tried_again(
    make_command: MakeCommand, capsys: Capture
) -> None:
    command = await make_command(Ending(a_run("Hello"), Unavailable("gone")))
    assert await command("run", "start", "rag", "why?", "--timeout", "4") == 1
    first = capsys.readouterr().err.splitlines()[0]
    assert "trying again for up to" in first
