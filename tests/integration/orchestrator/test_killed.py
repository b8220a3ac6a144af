"""An orchestrator is killed with SIGKILL, and its runs go on."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import run_event_pb2, run_pb2

from services.runtime.channels import open_channel
from tests.fakes.identity import Keys
from tests.fakes.renewing import FakeGateway, renewing
from tests.fakes.serving import until
from tests.integration.orchestrator.counting_orchestrator import LAST
from tests.integration.orchestrator.paying_orchestrator import PAYMENTS, SECONDS

ROOT = Path(__file__).parents[3]
# Seconds that identity tokens are good: a run that is taken up has none.
TOKEN_SECONDS = 4.0


class Replica:
    """An orchestrator in a process of its own."""

    def __init__(self, folder: Path, database: str, name: str, gateway: FakeGateway, kind: str = "counting") -> None:
        self._module = f"tests.integration.orchestrator.{kind}_orchestrator"
        self._arguments = (database, str(folder / "public.pem"), name, gateway.target)
        self._process: asyncio.subprocess.Process | None = None

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Any]:
        """Start it; gives a stub. It is killed at the end, if it was not before."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", self._module, *self._arguments,
            stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        try:
            assert self._process.stdout is not None
            async with asyncio.timeout(60):
                address = (await self._process.stdout.readline()).decode().strip()
            async with open_channel(address) as channel:
                yield pb_grpc.OrchestratorServiceStub(channel)
        finally:
            await self.kill()

    async def kill(self) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@pytest.fixture
def folder(tmp_path: Path, keys: Keys) -> Path:
    (tmp_path / "public.pem").write_bytes(keys.public_pem)
    return tmp_path


@pytest.fixture
async def gateway(keys: Keys, folder: Path) -> AsyncIterator[FakeGateway]:
    async with renewing(keys, folder, TOKEN_SECONDS) as gateway:
        yield gateway


async def stored_in(url: str) -> bytes:
    """All that the database has of runs."""
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        return b"".join(one.read_bytes() for one in path.parent.glob(f"{path.name}*"))
    server = await asyncpg.connect(url)
    try:
        rows = await server.fetch("SELECT * FROM orchestrator_runs, orchestrator_events")
    finally:
        await server.close()
    return b"".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)


async def no_token_in(url: str) -> None:
    """Nothing that is stored is an identity token, and what is stored of one is none to any service."""
    stored = await stored_in(url)
    assert b"v1." in stored, "the refresh token"
    assert b"eyJ" not in stored


def ask(question: str) -> pb.RunRequest:
    message = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content=question)
    return pb.RunRequest(messages=[message], detached=True)


async def read(stream: Any, events: list[run_event_pb2.RunEvent], most: int = 1 << 31) -> None:
    """Read up to an event, or to the end; a stream that breaks ends."""
    try:
        while len(events) < most and (response := await stream.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]
            events += response.events
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 (what else is wrong)


def check(events: list[run_event_pb2.RunEvent]) -> None:
    """Every event once, and the answer whole."""
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert "".join(event.text.text for event in events) == "".join(f"{number} " for number in range(LAST))
    assert events[-1].finished.reason == run_pb2.FINISH_REASON_STOP


@pytest.mark.parametrize("name", ["orchestrator-0", "orchestrator-1"], ids=["restarted", "replaced"])
async def test_killed_in_the_middle_of_runs(gateway: FakeGateway, folder: Path, records_url: str, name: str) -> None:
    runs: list[list[run_event_pb2.RunEvent]] = [[] for _ in range(4)]
    first = Replica(folder, records_url, "orchestrator-0", gateway)
    async with first.up() as stub:
        streams = [stub.Run(ask("slowly 3"), metadata=gateway.metadata()) for _ in runs]
        reading = [asyncio.create_task(read(stream, events)) for stream, events in zip(streams, runs, strict=True)]
        most = random.Random(1).randint(5, 50)
        await until(lambda: all(len(events) >= most for events in runs))
        await first.kill()
        await asyncio.gather(*reading)
    assert all(most <= len(events) < LAST for events in runs)
    await no_token_in(records_url)
    async with Replica(folder, records_url, name, gateway).up() as stub:
        for events in runs:
            request = pb.AttachRequest(run_id=events[0].run_id, after_sequence=len(events))
            async with asyncio.timeout(30):
                await read(stub.Attach(request, metadata=gateway.metadata()), events)
            check(events)


async def test_killed_while_it_waits_for_a_person_and_again_after_the_decision(
    gateway: FakeGateway, folder: Path, records_url: str
) -> None:
    events: list[run_event_pb2.RunEvent] = []
    replica = Replica(folder, records_url, "orchestrator-0", gateway)
    async with replica.up() as stub:
        await read(stub.Run(ask("may I?"), metadata=gateway.metadata()), events, 2)
        await replica.kill()
    run_id = events[0].run_id
    assert events[-1].approval_request.approval_id == "a1"
    await no_token_in(records_url)
    async with replica.up() as stub:
        got = await stub.GetRun(pb.GetRunRequest(run_id=run_id), metadata=gateway.metadata())
        assert (got.run.state, list(got.run.pending_approvals)) == (run_pb2.Run.STATE_WAITING, ["a1"])
        decisions = [
            stub.Decide(pb.DecideRequest(run_id=run_id, approval_id="a1", approved=True), metadata=gateway.metadata())
            for _ in range(5)
        ]
        codes = [await decision.code() for decision in decisions]
        assert sorted(code.name for code in codes) == ["FAILED_PRECONDITION"] * 4 + ["OK"]
        await replica.kill()
    async with replica.up() as stub:
        refused = stub.Decide(pb.DecideRequest(run_id=run_id, approval_id="a1"), metadata=gateway.metadata())
        assert await refused.code() is grpc.StatusCode.FAILED_PRECONDITION
        async with asyncio.timeout(30):
            request = pb.AttachRequest(run_id=run_id, after_sequence=len(events))
            await read(stub.Attach(request, metadata=gateway.metadata()), events)
    check(events)


@pytest.mark.parametrize("seed", range(3))
async def test_what_was_approved_is_paid_once_wherever_the_process_dies(
    gateway: FakeGateway, folder: Path, records_url: str, seed: int
) -> None:
    """A payment that had begun when the process died may have been made; the others are made."""
    moment = random.Random(seed)
    paid = folder / "paid"
    events: list[run_event_pb2.RunEvent] = []
    replica = Replica(folder, records_url, "orchestrator-0", gateway, "paying")
    async with replica.up() as stub:
        question = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content="Pay.")
        request = pb.RunRequest(messages=[question], model="helper")
        stream = stub.Run(request, metadata=gateway.metadata())
        while sum(event.HasField("approval_request") for event in events) < PAYMENTS:
            await read(stream, events, len(events) + 1)
        run_id = events[0].run_id
        for event in events:
            if event.HasField("approval_request"):
                approval_id = event.approval_request.approval_id
                yes = pb.DecideRequest(run_id=run_id, approval_id=approval_id, approved=True)
                await stub.Decide(yes, metadata=gateway.metadata())
        await asyncio.sleep(moment.uniform(0, 3 * SECONDS))
        await replica.kill()
    for _ in range(2):
        async with replica.up():
            await asyncio.sleep(moment.uniform(0, 3 * SECONDS))
    events = []
    async with replica.up() as stub, asyncio.timeout(60):
        await read(stub.Attach(pb.AttachRequest(run_id=run_id), metadata=gateway.metadata()), events)
    assert events[-1].finished.reason == run_pb2.FINISH_REASON_STOP
    made = paid.read_text().split() if paid.exists() else []
    assert len(made) == len(set(made)), "nothing is paid twice"
    results = {event.tool_result.call_id: event.tool_result for event in events if event.HasField("tool_result")}
    begun = {event.tool_begun.call_id for event in events if event.HasField("tool_begun")}
    assert len(results) == PAYMENTS
    for call_id, result in results.items():
        if result.error_reason:
            assert (result.error_reason, call_id in begun) == ("INTERRUPTED", True)
        else:
            assert (result.content, call_id in made) == ("paid", True)
