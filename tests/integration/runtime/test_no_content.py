"""What is asked, answered and ingested is in no log line, whatever goes wrong with it."""

import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import run_pb2

from services.orchestrator.adapters.identity_client import IdentityClient
from services.orchestrator.adapters.peers import Peers
from services.orchestrator.directory import RunDirectory
from services.orchestrator.domain.event import FinishReason, TextDelta
from services.orchestrator.runs.agent import RunOutcome
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.heartbeat import Heartbeat
from services.orchestrator.runs.records import RunRecords
from services.orchestrator.schema.schema import SCHEMA
from services.orchestrator.scopes import Identities
from services.orchestrator.servicers.runs import OrchestratorServicer
from services.orchestrator.sessions.store import SessionStore
from services.orchestrator.sessions.window import Sessions
from services.runtime.errors import InvalidArgument
from services.runtime.logs import JsonFormatter
from services.runtime.records.schema import Schema
from tests.fakes.agents import FakeAgent, FixedAgents
from tests.fakes.identity import Keys
from tests.fakes.retrieval import FakeEmbedder, served
from tests.fakes.serving import channel_for
from tests.fixtures.runs import opened_records

SECRET = "the combination of the safe is eleven"
ANSWER = (TextDelta(SECRET), RunOutcome(FinishReason.STOP))


@pytest.fixture
def records_schema() -> Schema:
    return SCHEMA


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """The log as it is written; looked through at the end."""
    caplog.set_level(logging.INFO)
    found: list[str] = []
    yield found
    found += [JsonFormatter("test").format(record) for record in caplog.get_records("call")]
    assert found
    assert all(json.loads(line) for line in found)
    assert not [line for line in found if "combination" in line]


async def answers(stream: AsyncIterator[pb.RunResponse]) -> str:
    try:
        return "".join(event.text.text for response in [each async for each in stream] for event in response.events)
    except grpc.aio.AioRpcError as error:
        return error.code().name


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (None, SECRET),
        (RuntimeError(f"no model takes {SECRET!r}"), "INTERNAL"),
        (InvalidArgument(f"cannot answer {SECRET!r}"), "INVALID_ARGUMENT"),
    ],
    ids=["well", "broken", "refused"],
)
async def test_a_run(lines: list[str], records_url: str, keys: Keys, error: Exception | None, told: str) -> None:
    agent = FakeAgent([] if error else ANSWER, error=error)
    async with opened_records(records_url) as records:
        assert await asked(records, agent, keys) == told


async def asked(records: RunRecords, agent: FakeAgent, keys: Keys) -> str:
    executor = Executor(FixedAgents([agent]), records, 10, Sessions(SessionStore(records.database)))
    nowhere = grpc.aio.insecure_channel("127.0.0.1:1")
    identities = Identities(IdentityClient(nowhere, keys.verifier, 2), 5)
    keeper = Heartbeat(executor, records, identities.of_left, 30, 0.2, 2)
    await keeper.open()
    peers = Peers(nowhere, "orchestrator-0")
    servicer = OrchestratorServicer(executor, RunDirectory(executor, records), peers, identities, 30)
    async with channel_for(servicer, verifier=keys.verifier) as channel:
        message = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content=SECRET)
        run = pb_grpc.OrchestratorServiceStub(channel).Run(pb.RunRequest(messages=[message]), metadata=keys.metadata())
        answer = await answers(run)
    await executor.aclose()
    await keeper.aclose()
    return answer


async def test_documents_and_searches(lines: list[str], tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    async with served(tmp_path, embedder) as retrieval:
        results, _ = await retrieval.ingest({"a.txt": SECRET, "b.pdf": SECRET})
        assert {result.error_reason != "" for result in results.values()} == {False, True}
        await retrieval.search(SECRET)
        embedder.error = RuntimeError(f"no vector for {SECRET!r}")
        with pytest.raises(grpc.aio.AioRpcError):
            await retrieval.search(SECRET)


def test_libraries_say_nothing_of_what_goes_through_them() -> None:
    script = f"""
import asyncio, aiosqlite
from services.runtime.logs import configure
configure("test", "debug")
async def main():
    async with aiosqlite.connect(":memory:") as database:
        await database.execute("SELECT ?", ({SECRET!r},))
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "combination" not in done.stderr
