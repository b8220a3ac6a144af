"""Ctrl-C while the command waits for the mesh: never lost, whatever gRPC does at that moment."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from headworks.orchestrator.v1 import agent_service_pb2 as agents_pb
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import run_event_pb2
from headworks.retrieval.v1 import retrieval_service_pb2 as retrieval_pb
from headworks.retrieval.v1 import retrieval_service_pb2_grpc as retrieval_grpc

from services.runtime.server import App
from tests.fakes.agent_keeper import FakeAgents, FakeRuns, FakeSessions, app
from tests.fakes.agent_run import RUN_ID, until_approval
from tests.fakes.serving import serving, until

HEADWORKS = Path(sys.executable).with_name("headworks")
TRIES = 60
SECONDS = 60.0
Retrieval: Any = retrieval_grpc.RetrievalServiceServicer  # whose other methods nobody calls


class Endless(FakeRuns, FakeAgents, Retrieval):  # type: ignore[misc]
    """A mesh whose answers have no end: streams go on, pages follow each other, `GetRun` never answers, nor does any of
    the `mute`. What was begun, and left by its caller, is counted."""

    def __init__(self, *mute: str) -> None:
        super().__init__(until_approval())
        self.begun = self.left = 0
        self._mute = mute

    async def Run(self, request: pb.RunRequest, context: Any) -> AsyncIterator[pb.RunResponse]:  # noqa: N802
        async with self._open():
            if "Run" in self._mute:
                await asyncio.Event().wait()
            async for event in self._events():
                yield pb.RunResponse(events=[event])

    async def Attach(self, request: pb.AttachRequest, context: Any) -> AsyncIterator[pb.AttachResponse]:  # noqa: N802
        async with self._open():
            async for event in self._events():
                yield pb.AttachResponse(events=[event])

    async def GetRun(self, request: pb.GetRunRequest, context: Any) -> pb.GetRunResponse:  # noqa: N802
        async with self._open():
            await asyncio.Event().wait()
        raise AssertionError

    async def ListAgents(self, request: agents_pb.ListAgentsRequest, context: Any) -> agents_pb.ListAgentsResponse:  # noqa: N802
        return agents_pb.ListAgentsResponse(next_page_token="more")

    async def Cancel(self, request: pb.CancelRequest, context: Any) -> pb.CancelResponse:  # noqa: N802
        self.cancelled.append(request.run_id)
        if "Cancel" in self._mute:
            await asyncio.Event().wait()
        return pb.CancelResponse(run=self.run)

    async def ListDocuments(self, request: Any, context: Any) -> retrieval_pb.ListDocumentsResponse:  # noqa: N802
        return retrieval_pb.ListDocumentsResponse()

    async def Ingest(self, requests: Any, context: Any) -> AsyncIterator[retrieval_pb.IngestResponse]:  # noqa: N802
        async with self._open():
            async for event in self._events():
                progress = retrieval_pb.IngestProgress(document_id="a.md", passages_done=event.sequence)
                yield retrieval_pb.IngestResponse(progress=progress)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        self.begun += 1
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            self.left += 1
            raise

    async def _events(self) -> AsyncIterator[run_event_pb2.RunEvent]:
        first = self.events[0]
        while True:
            first.sequence += 1
            yield first
            await asyncio.sleep(0)


VERBS = {
    "watch": ["run", "watch", RUN_ID],
    "start": ["run", "start", "analyst", "why?"],
    "ask": ["ask", "why?"],
    "ingest": ["ingest", __file__],
    "pages": ["agents", "list"],
    "unary": ["run", "show", RUN_ID],
}

SAID = {
    "watch": "interrupted: the run is left as it is; watch it again with ",
    "start": f"interrupted: {RUN_ID} was cancelled",
    "ask": "interrupted",
    "ingest": "interrupted: 0 of 1 document are in default, and stay; the same command goes on with the others",
    "unary": "interrupted",
}


@asynccontextmanager
async def command(mesh: Endless, *argv: str) -> AsyncIterator[Process]:
    served = app(mesh, mesh, FakeSessions())

    def add(server: Any) -> None:
        served.add(server)
        retrieval_grpc.add_RetrievalServiceServicer_to_server(mesh, server)

    async with serving(App(add, [])) as address:
        process = await asyncio.create_subprocess_exec(
            *argv, "--json", "--edge", address, "--key", "hw_x", stdout=PIPE, stderr=PIPE
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()


@pytest.mark.parametrize("verb", ["watch", "start", "ask", "ingest", "pages"])
async def test_ctrl_c_is_lost_nowhere_in_a_call(verb: str) -> None:
    mesh = Endless()
    pressed = [sys.executable, "-m", "tests.integration.cli.pressed", str(TRIES), *VERBS[verb]]
    async with asyncio.timeout(SECONDS), command(mesh, *pressed) as process:
        told, errors = await process.communicate()
        ends = [json.loads(line) for line in told.splitlines() if b"restored" in line]
        assert ends == [{"code": 130, "restored": True}] * TRIES, errors
        await until(lambda: mesh.left == mesh.begun)
    if verb == "start":
        unknown = errors.count(b"headworks run list")
        assert len(mesh.cancelled) + unknown >= mesh.begun > 0


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "pages"])
async def test_ctrl_c_ends_a_verb_and_its_call(verb: str) -> None:
    mesh = Endless()
    async with asyncio.timeout(SECONDS), command(mesh, str(HEADWORKS), *VERBS[verb]) as process:
        await until(lambda: mesh.begun)
        process.send_signal(signal.SIGINT)
        _, error = await process.communicate()
        assert process.returncode == 130
        assert error.decode().strip().startswith(f"headworks: {SAID[verb]}")
        await until(lambda: mesh.left == 1)
    assert mesh.cancelled == ([RUN_ID] if verb == "start" else [])


async def test_a_run_that_is_not_known_is_said_to_go_on() -> None:
    mesh = Endless("Run")
    async with asyncio.timeout(SECONDS), command(mesh, str(HEADWORKS), *VERBS["start"]) as process:
        await until(lambda: mesh.begun)
        process.send_signal(signal.SIGINT)
        _, error = await process.communicate()
        await until(lambda: mesh.left == 1)
    assert process.returncode == 130
    last = error.splitlines()[-1]
    assert last.startswith(b"headworks: interrupted: before")
    assert last.endswith(b"`headworks run list`")


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "pages"])
async def test_sigterm_ends_a_verb_as_ctrl_c_does(verb: str) -> None:
    mesh = Endless()
    async with asyncio.timeout(SECONDS), command(mesh, str(HEADWORKS), *VERBS[verb]) as process:
        await until(lambda: mesh.begun)
        process.send_signal(signal.SIGTERM)
        _, error = await process.communicate()
        assert process.returncode == 143
        assert error.decode().strip().startswith(f"headworks: {SAID[verb].replace('interrupted', 'terminated')}")
        await until(lambda: mesh.left == 1)
    assert mesh.cancelled == ([RUN_ID] if verb == "start" else [])


async def test_a_second_ctrl_c_ends_the_process_at_once() -> None:
    mesh = Endless("Cancel")
    async with asyncio.timeout(SECONDS), command(mesh, str(HEADWORKS), *VERBS["start"]) as process:
        await until(lambda: mesh.begun)
        process.send_signal(signal.SIGINT)
        await until(lambda: mesh.cancelled)
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == -signal.SIGINT
