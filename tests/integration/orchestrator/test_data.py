"""What is kept of a person or of a tenant is handed out whole and erased whole, and nothing of anybody else's."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiosqlite
import grpc
import pytest
from headworks.orchestrator.v1 import data_service_pb2 as pb
from headworks.orchestrator.v1 import data_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as runs_pb

from services.llm.chat import Message, Role
from services.orchestrator.agents.specs.store import AgentStore
from services.orchestrator.data import erasure as erasing
from services.orchestrator.data.erasure import DataBusy, DataEraser, What
from services.orchestrator.data.store import DataStore, DataSubject
from services.orchestrator.directory import RunDirectory
from services.orchestrator.prompts.store import PromptStore
from services.orchestrator.runs.access import Viewer
from services.orchestrator.runs.agent import RunInput
from services.orchestrator.runs.execution import RunTerms
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.records import RunFilter, RunRecords
from services.orchestrator.runs.run import Run
from services.orchestrator.servicers.data import SCOPE, DataServicer
from services.orchestrator.sessions.store import SessionStore
from services.runtime.identity import IDENTITY_KEY, Identity
from tests.fakes.agents import FakeAgent
from tests.fakes.identity import Keys
from tests.fakes.serving import channel_for
from tests.integration.orchestrator.conftest import OpenExecutor

EVERYTHING = set(What)


@dataclass
class World:
    """An orchestrator, and who asks it."""

    executor: Executor
    records: RunRecords
    agents: AgentStore
    prompts: PromptStore
    store: DataStore
    sessions: SessionStore
    erasure: DataEraser
    gone: list[str]

    async def ask(self, subject: str, words: str, session: str = "", tenant: str = "acme") -> Run:
        run = await self.start(subject, words, session, tenant)
        async with asyncio.timeout(60):
            await run.ended()
        return run

    async def start(self, subject: str, words: str, session: str = "", tenant: str = "acme") -> Run:
        asked = RunInput((Message(Role.USER, words),), session_id=session)
        return await self.executor.start(
            tenant, "rag", asked, RunTerms(30, detached=True, subject=subject, others=True)
        )

    async def erase(self, whose: DataSubject, what: set[What] = EVERYTHING) -> tuple[int, int, int, int]:
        *_, last = [erased async for erased in self.erasure.erase(whose, what, self.end)]
        return last.runs, last.sessions, last.messages, last.agents + last.prompts

    async def end(self, run_id: str) -> None:
        run = self.executor.find("acme", run_id)
        assert run is not None
        await self.executor.cancel(run)

    async def runs(self, tenant: str = "acme") -> list[str]:
        return [info.id for info in await self.records.newest(Viewer(tenant, others=True), 100, None, RunFilter())]

    async def said(self, session: str, tenant: str = "acme") -> list[str]:
        return [message.content for message in await self.sessions.messages(tenant, session)]


MakeWorld = Callable[..., Awaitable[World]]


@pytest.fixture
async def make_world(open_executor: OpenExecutor, records: RunRecords) -> MakeWorld:
    async def made(*agents: FakeAgent) -> World:
        executor = await open_executor(*(agents or (FakeAgent(),)))
        database = records.database
        store, agent_store, prompts, gone = (
            DataStore(database),
            AgentStore(database),
            PromptStore(database),
            list[str](),
        )
        erasure = DataEraser(store, agent_store, gone.append, prompts, gone.append)
        return World(executor, records, agent_store, prompts, store, SessionStore(database), erasure, gone)

    return made


async def fill(world: World) -> tuple[Run, Run, Run]:
    await world.agents.apply("acme", "own", "name: own", "d")
    await world.prompts.apply("acme", "own", "name: own", "d")
    await world.prompts.apply("other", "own", "name: own", "d")
    ann = await world.ask("ann", "ann alone", "anns")
    await world.ask("ann", "ann first", "shared")
    bob = await world.ask("bob", "bob second", "shared")
    await world.ask("ann", "ann third", "shared")
    other = await world.ask("ann", "another ann", "anns", "other")
    return ann, bob, other


async def test_a_person_is_erased(make_world: MakeWorld) -> None:
    world = await make_world()
    ann, bob, other = await fill(world)
    assert await world.erase(DataSubject("acme", "ann")) == (3, 1, 6, 0)
    assert await world.runs() == [bob.id]
    assert await world.records.events(ann.id) == []
    assert await world.sessions.find("acme", "anns") is None
    assert await world.said("shared") == ["bob second", "one two"]
    assert await world.runs("other") == [other.id]
    assert await world.said("anns", "other") == ["another ann", "one two"]
    assert await world.agents.get("acme", "own") is not None
    assert await world.erase(DataSubject("acme", "ann")) == (0, 0, 0, 0)
    await world.ask("bob", "bob again", "shared")
    assert await world.said("shared") == ["bob second", "one two", "bob again", "one two"]


async def test_a_tenant_is_erased(make_world: MakeWorld) -> None:
    world = await make_world()
    _, _, other = await fill(world)
    assert await world.erase(DataSubject("acme")) == (4, 2, 8, 2)
    assert (await world.runs(), await world.runs("other")) == ([], [other.id])
    assert (await world.agents.latest("acme"), await world.prompts.latest("acme")) == ({}, {})
    assert await world.prompts.latest("other") == {"own": 1}
    assert world.gone == ["acme", "acme"]


async def test_nothing_is_left_in_the_file(make_world: MakeWorld, records_url: str) -> None:
    if not records_url.startswith("sqlite"):
        pytest.skip("a server keeps its own files")
    world = await make_world()
    await world.ask("ann", "unforgettable words", "s")
    await world.erase(DataSubject("acme", "ann"))
    path = Path(records_url.removeprefix("sqlite:///"))
    async with aiosqlite.connect(path) as connection:
        await connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"unforgettable" not in await asyncio.to_thread(path.read_bytes)


async def test_a_run_under_way_is_ended_first(make_world: MakeWorld) -> None:
    agent = FakeAgent(hold=1)
    world = await make_world(agent)
    run = await world.start("ann", "why?", "s")
    await agent.held.wait()
    await run.saved(1)
    runs, sessions, _, _ = await world.erase(DataSubject("acme", "ann"))
    assert (runs, sessions, await world.runs()) == (1, 1, [])


async def test_a_session_that_somebody_else_uses_is_waited_for(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = FakeAgent(hold=1)
    agent.release.set()
    world = await make_world(agent)
    await world.ask("ann", "ann first", "shared")
    agent.release.clear()
    agent.held.clear()
    run = await world.start("bob", "bob second", "shared")
    await agent.held.wait()
    monkeypatch.setattr(erasing, "PATIENCE_SECONDS", 0.05)
    with pytest.raises(DataBusy):
        await world.erase(DataSubject("acme", "ann"))
    assert await world.said("shared") == ["ann first", "one two"]
    agent.release.set()
    await run.ended()
    await world.erase(DataSubject("acme", "ann"))
    assert await world.said("shared") == ["bob second", "one two"]


async def test_what_is_old_is_erased(make_world: MakeWorld) -> None:
    agent = FakeAgent(hold=1)
    agent.release.set()
    world = await make_world(agent)
    await world.ask("ann", "old", "old")
    between = (await world.ask("ann", "new", "new")).create_time
    agent.release.clear()
    held = await world.start("ann", "held", "old")
    await held.saved(1)
    assert await world.erase(DataSubject("acme", "", between)) == (1, 0, 0, 0)
    assert held.id in await world.runs()
    agent.release.set()
    await held.ended()
    assert await world.erase(DataSubject("acme", "", held.create_time + 100), {What.SESSIONS}) == (0, 2, 6, 0)


@pytest.fixture
async def stub(make_world: MakeWorld, keys: Keys) -> AsyncIterator[tuple[World, Any]]:
    world = await make_world()

    async def cancel(request: runs_pb.CancelRequest, context: object) -> runs_pb.CancelResponse:
        await world.end(request.run_id)
        return runs_pb.CancelResponse()

    servicer = DataServicer(
        world.store,
        world.sessions,
        world.agents,
        world.prompts,
        RunDirectory(world.executor, world.records),
        world.erasure,
        cancel,
    )
    async with channel_for(servicer, verifier=keys.verifier) as channel:
        yield world, pb_grpc.DataServiceStub(channel)


def as_gateway(keys: Keys, tenant: str = "acme", scope: str = SCOPE) -> tuple[tuple[str, str], ...]:
    return ((IDENTITY_KEY, keys.signer.token(Identity(tenant, "gateway", frozenset({scope})))),)


async def test_over_a_channel(stub: tuple[World, Any], keys: Keys) -> None:
    world, service = stub
    await fill(world)
    found = [item async for item in service.ExportData(pb.ExportDataRequest(), metadata=as_gateway(keys))]
    kinds = [item.WhichOneof("item") for item in found]
    assert (kinds.count("run"), kinds.count("session"), kinds.count("agent"), kinds.count("event")) == (4, 2, 1, 16)
    assert kinds.count("prompt") == 1
    mine = [item async for item in service.ExportData(pb.ExportDataRequest(subject="bob"), metadata=as_gateway(keys))]
    assert [item.run.messages[0].content for item in mine if item.HasField("run")] == ["bob second"]
    (session,) = [item.session for item in mine if item.HasField("session")]
    assert [message.content for message in session.messages] == ["bob second", "one two"]
    erased = [each async for each in service.EraseData(pb.EraseDataRequest(subject="bob"), metadata=as_gateway(keys))]
    assert (erased[-1].runs, erased[-1].messages) == (1, 2)


@pytest.mark.parametrize("scope", ["*", "admin.data:*", "admin.data:read", ""])
@pytest.mark.parametrize("method", ["ExportData", "EraseData"])
async def test_callers_have_no_way_in(stub: tuple[World, Any], keys: Keys, scope: str, method: str) -> None:
    world, service = stub
    await fill(world)
    request = getattr(pb, f"{method}Request")()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in getattr(service, method)(request, metadata=as_gateway(keys, scope=scope)):
            pass
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert len(await world.runs()) == 4


async def test_tenants_stay_apart(stub: tuple[World, Any], keys: Keys) -> None:
    world, service = stub
    await fill(world)
    metadata = as_gateway(keys, "other")
    found = [item async for item in service.ExportData(pb.ExportDataRequest(subject="ann"), metadata=metadata)]
    assert [item.run.messages[0].content for item in found if item.HasField("run")] == ["another ann"]
    assert [each async for each in service.EraseData(pb.EraseDataRequest(), metadata=metadata)][-1].runs == 1
    assert len(await world.runs()) == 4
