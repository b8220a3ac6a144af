"""A person and a tenant erased across the gateway's records, the orchestrator's and retrieval's."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from headworks.orchestrator.v1 import data_service_pb2 as pb
from headworks.orchestrator.v1 import data_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as runs_pb
from headworks.retrieval.v1 import retrieval_service_pb2_grpc

from gateway.privacy import service_records
from gateway.privacy.model import DataSource
from gateway.privacy.own_records import AuditData
from gateway.privacy.service import ErasureStore, Privacy
from gateway.privacy.service_records import DocumentData, OwnCalls, RunData
from services.llm.chat import Message, Role
from services.orchestrator.agents.specs.store import AgentStore
from services.orchestrator.data.erasure import DataEraser
from services.orchestrator.data.store import DataStore
from services.orchestrator.directory import RunDirectory
from services.orchestrator.prompts.store import PromptStore
from services.orchestrator.runs.access import Viewer
from services.orchestrator.runs.agent import RunInput
from services.orchestrator.runs.execution import RunTerms
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.heartbeat import Heartbeat
from services.orchestrator.runs.identity import Nobody
from services.orchestrator.runs.records import RunFilter, RunRecords
from services.orchestrator.servicers.data import DataServicer
from services.orchestrator.sessions.store import SessionStore
from services.orchestrator.sessions.window import Sessions
from services.retrieval.app import assemble, open_engine
from services.retrieval.settings import RetrievalSettings
from services.retrieval.store.points import PointStore
from services.runtime.errors import DomainError, ErrorKind
from tests.fakes.agents import FakeAgent, FixedAgents
from tests.fakes.identity import Keys
from tests.fakes.retrieval import FakeEmbedder, Served, ingest_requests
from tests.fakes.serving import channel_for
from tests.fixtures.audit import ANN, Audit, entry, open_audit
from tests.fixtures.runs import opened_records


@dataclass
class Mesh:
    """The parts that keep something of people, and the gateway's data rights over them."""

    executor: Executor
    records: RunRecords
    retrieval: Served
    audit: Audit
    privacy: Privacy

    async def ask(self, tenant: str, subject: str, words: str, session: str) -> None:
        asked = RunInput((Message(Role.USER, words),), session_id=session)
        run = await self.executor.start(tenant, "rag", asked, RunTerms(30, detached=True, subject=subject))
        await run.ended()

    async def ingest(self, tenant: str, document_id: str, text: str, **labels: str) -> None:
        requests = ingest_requests({document_id: text}, metadata=labels)
        async for _ in self.retrieval.stub.Ingest(iter(requests), metadata=self.retrieval.identity(tenant)):
            pass

    async def runs(self, tenant: str) -> int:
        return len(await self.records.newest(Viewer(tenant, others=True), 100, None, RunFilter()))

    async def exported(self, tenant: str, subject: str | None = None) -> list[str]:
        kinds = [str(item["kind"]) async for item in self.privacy.export(tenant, subject)]
        return sorted(kind for kind in kinds if kind not in ("audit", "event"))

    async def erase(self, tenant: str, subject: str | None = None) -> dict[str, int]:
        return {step.kind: step.erased async for step in self.privacy.erase(tenant, subject) if step.erased}


async def orchestrator(stack: AsyncExitStack, url: str) -> tuple[DataServicer, Executor, RunRecords]:
    records = await stack.enter_async_context(opened_records(url))
    database = records.database
    sessions, agents, store = SessionStore(database), AgentStore(database), DataStore(database)
    executor = Executor(FixedAgents([FakeAgent()]), records, 100, Sessions(sessions))
    keeper = Heartbeat(executor, records, lambda left: Nobody(), 30, 0.2, 2)
    stack.push_async_callback(keeper.aclose)
    stack.push_async_callback(executor.aclose)
    await keeper.open()

    async def cancel(request: runs_pb.CancelRequest, context: object) -> runs_pb.CancelResponse:
        return runs_pb.CancelResponse()

    erasure = DataEraser(store, agents, lambda tenant: None, PromptStore(database), lambda tenant: None)
    servicer = DataServicer(
        store, sessions, agents, PromptStore(database), RunDirectory(executor, records), erasure, cancel
    )
    return servicer, executor, records


@pytest.fixture
async def mesh(tmp_path: Path, keys: Keys, records_url: str) -> AsyncIterator[Mesh]:
    async with AsyncExitStack() as stack:
        servicer, executor, records = await orchestrator(stack, records_url)
        behind = await stack.enter_async_context(channel_for(servicer, verifier=keys.verifier))
        settings = RetrievalSettings(data_dir=tmp_path / "data")
        app = await assemble(settings, PointStore(open_engine(settings)), [FakeEmbedder()], AsyncExitStack())
        documents = await stack.enter_async_context(channel_for(app, verifier=keys.verifier))
        audit = await open_audit(records_url, keys)
        stack.push_async_callback(audit.aclose)
        calls = OwnCalls(keys.signer)
        holders: list[DataSource] = [
            RunData(behind, calls),
            DocumentData(documents, calls),
            AuditData(audit.database, audit.store),
        ]
        privacy = Privacy(ErasureStore(audit.database), holders, audit.log)
        served = Served(retrieval_service_pb2_grpc.RetrievalServiceStub(documents), keys)
        yield Mesh(executor, records, served, audit, privacy)


async def fill(mesh: Mesh) -> None:
    for tenant in ("acme", "other"):
        await mesh.ask(tenant, ANN.subject, "hers", "s")
        await mesh.ask(tenant, "bob", "his", "t")
        await mesh.ingest(tenant, "hers.txt", "about her", subject=ANN.subject)
        await mesh.ingest(tenant, "all.txt", "about all")
    await mesh.audit.log.record(entry())


async def test_a_person(mesh: Mesh) -> None:
    await fill(mesh)
    assert await mesh.exported("acme", ANN.subject) == ["document", "run", "session"]
    assert await mesh.erase("acme", ANN.subject) == {
        "runs": 1, "sessions": 1, "messages": 2, "documents": 1, "audit_actors": 1,
    }  # fmt: skip
    assert await mesh.exported("acme", ANN.subject) == []
    assert await mesh.exported("acme") == ["document", "run", "session"]
    assert await mesh.exported("other") == ["document", "document", "run", "run", "session", "session"]
    assert (await mesh.audit.verify()).sound


async def test_a_tenant(mesh: Mesh) -> None:
    await fill(mesh)
    erased = await mesh.erase("acme")
    assert (erased["runs"], erased["sessions"], erased["collections"]) == (2, 2, 1)
    assert await mesh.exported("acme") == []
    assert (await mesh.runs("acme"), await mesh.runs("other")) == (0, 2)
    assert len(await mesh.exported("other")) == 6


class Breaks(pb_grpc.DataServiceServicer):
    """Erases three runs in a call, and then breaks off, `times` in all."""

    def __init__(self, times: int, progress: int = 3) -> None:
        self.times = times
        self.progress = progress

    async def ExportData(self, request: pb.ExportDataRequest, context: Any) -> AsyncIterator[pb.ExportDataResponse]:  # noqa: N802
        yield pb.ExportDataResponse()

    async def EraseData(self, request: pb.EraseDataRequest, context: Any) -> AsyncIterator[pb.EraseDataResponse]:  # noqa: N802
        yield pb.EraseDataResponse(runs=self.progress)
        self.times -= 1
        if self.times >= 0:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")


async def test_an_erasure_that_breaks_off_is_asked_for_again(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_records, "PAUSE_SECONDS", 0.01)
    async with channel_for(Breaks(7), verifier=keys.verifier) as channel:
        assert await RunData(channel, OwnCalls(keys.signer)).expire("acme", "runs", 1.0) == 24
    async with channel_for(Breaks(1000, progress=0), verifier=keys.verifier) as channel:
        with pytest.raises(DomainError) as caught:
            await RunData(channel, OwnCalls(keys.signer)).expire("acme", "runs", 1.0)
    assert caught.value.kind is ErrorKind.UNAVAILABLE
