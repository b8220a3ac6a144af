"""Runs and sessions are their user's; a role sees others'."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import session_service_pb2 as session_pb
from headworks.orchestrator.v1 import session_service_pb2_grpc

from services.orchestrator.servicers.sessions import SessionServicer
from services.orchestrator.sessions.store import SessionStore
from services.runtime.channels import open_channel
from services.runtime.server import App
from tests.fakes.agents import FakeAgent
from tests.fakes.identity import Keys
from tests.fakes.serving import serving, until
from tests.integration.orchestrator.test_servicer import Replica, ask, drain, replicas
from tests.integration.orchestrator.test_takeover import Counting

Metadata = tuple[tuple[str, str], ...]


@dataclass
class World:
    """Two replicas, of which the second answers for the first's runs, and the sessions of both. Ann's run is over, and
    her session has it."""

    first: Replica
    second: Replica
    sessions: Any
    keys: Keys
    run_id: str

    def ann(self, *scopes: str) -> Metadata:
        return self.keys.metadata("acme", "ann", *scopes)

    def bob(self, *scopes: str) -> Metadata:
        return self.keys.metadata("acme", "bob", *scopes)


@pytest.fixture
async def world(keys: Keys, records_url: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        both = await stack.enter_async_context(replicas(keys, records_url, FakeAgent(), FakeAgent()))
        store = SessionStore(both[0].records.database)

        def add(server: grpc.aio.Server) -> None:
            session_service_pb2_grpc.add_SessionServiceServicer_to_server(SessionServicer(store), server)

        name = session_pb.DESCRIPTOR.services_by_name["SessionService"].full_name
        address = await stack.enter_async_context(serving(App(add, [name], {}), verifier=keys.verifier))
        channel = await stack.enter_async_context(open_channel(address))
        mine = keys.metadata("acme", "ann")
        events, error = await drain(both[0].stub.Run(ask(session_id="anns"), metadata=mine))
        assert error is None
        stub = session_service_pb2_grpc.SessionServiceStub(channel)
        yield World(both[0], both[1], stub, keys, events[0].run_id)


async def code(call: Any) -> str:
    return str((await call.code()).name)


async def attached(replica: Replica, run_id: str, metadata: Metadata) -> str:
    events, error = await drain(replica.stub.Attach(pb.AttachRequest(run_id=run_id), metadata=metadata))
    return str(error.code().name) if error is not None else "OK" if events else "nothing"


Ask = Callable[[World, Metadata], Awaitable[str]]
# What is asked, and the permission by which another's is to be had.
ASKED: dict[str, tuple[Ask, str]] = {
    "get": (lambda w, m: code(w.first.stub.GetRun(pb.GetRunRequest(run_id=w.run_id), metadata=m)), "runs.others:read"),
    "get elsewhere": (
        lambda w, m: code(w.second.stub.GetRun(pb.GetRunRequest(run_id=w.run_id), metadata=m)), "runs.others:read",
    ),
    "attach": (lambda w, m: attached(w.first, w.run_id, m), "runs.others:read"),
    "attach elsewhere": (lambda w, m: attached(w.second, w.run_id, m), "runs.others:read"),
    "cancel": (
        lambda w, m: code(w.first.stub.Cancel(pb.CancelRequest(run_id=w.run_id), metadata=m)), "runs.others:write",
    ),
    "session": (
        lambda w, m: code(w.sessions.GetSession(session_pb.GetSessionRequest(session_id="anns"), metadata=m)),
        "sessions.others:read",
    ),
    "delete session": (
        lambda w, m: code(w.sessions.DeleteSession(session_pb.DeleteSessionRequest(session_id="anns"), metadata=m)),
        "sessions.others:write",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "permission"), ASKED.values(), ids=ASKED)
async def test_another_s_is_not_there(world: World, asked: Ask, permission: str) -> None:
    area, _, verb = permission.partition(":")
    beside = f"{area}:{'write' if verb == 'read' else 'read'}"
    for scopes in ((), ("runs.read:*", "runs.write:*", "sessions.read:*", "sessions.write:*"), (beside,)):
        assert await asked(world, world.bob(*scopes)) == "NOT_FOUND"
    assert await asked(world, world.keys.metadata("other", "ann", permission)) == "NOT_FOUND"
    assert await asked(world, world.ann()) == "OK"


@pytest.mark.parametrize(("asked", "permission"), ASKED.values(), ids=ASKED)
@pytest.mark.parametrize("widen", [lambda one: one, lambda one: one.replace("read", "*"), lambda one: "*"])
async def test_a_role_sees_others(world: World, asked: Ask, permission: str, widen: Callable[[str], str]) -> None:
    assert await asked(world, world.bob(widen(permission))) == "OK"


async def test_lists_have_one_s_own(world: World) -> None:
    async def listed(metadata: Metadata) -> tuple[int, int]:
        runs = await world.second.stub.ListRuns(pb.ListRunsRequest(), metadata=metadata)
        sessions = await world.sessions.ListSessions(session_pb.ListSessionsRequest(), metadata=metadata)
        assert {one.subject for one in (*runs.runs, *sessions.sessions)} <= {"ann"}
        return len(runs.runs), len(sessions.sessions)

    assert await listed(world.ann()) == (1, 1)
    assert await listed(world.bob("runs.read:*", "sessions.read:*")) == (0, 0)
    assert await listed(world.bob("runs.others:read", "sessions.others:read")) == (1, 1)


async def test_nobody_goes_on_with_another_s_session(world: World) -> None:
    events, error = await drain(world.first.stub.Run(ask(session_id="anns"), metadata=world.bob("sessions.write:*")))
    assert error is not None
    assert (events, error.code().name) == ([], "PERMISSION_DENIED")
    assert "another user's" in str(error.details())
    _, error = await drain(world.first.stub.Run(ask(session_id="anns"), metadata=world.bob("sessions.others:write")))
    assert error is None
    _, error = await drain(world.first.stub.Run(ask(session_id="bobs"), metadata=world.bob()))
    assert error is None


async def test_who_decides_sees_what_waits(keys: Keys, records_url: str) -> None:
    decides = keys.metadata("acme", "bob", "runs.decide:*")
    async with replicas(keys, records_url, Counting(approval=True)) as (replica,):
        stub, run = replica.stub, ""
        stream = stub.Run(ask(detached=True), metadata=keys.metadata("acme", "ann"))
        while not run:
            response = await stream.read()
            run = next((one.run_id for one in response.events if one.HasField("approval_request")), "")

        async def seen(metadata: Metadata) -> tuple[str, int]:
            listed = await stub.ListRuns(pb.ListRunsRequest(), metadata=metadata)
            return await code(stub.GetRun(pb.GetRunRequest(run_id=run), metadata=metadata)), len(listed.runs)

        assert await seen(decides) == ("OK", 1)
        assert await seen(keys.metadata("acme", "bob")) == ("NOT_FOUND", 0)
        decision = pb.DecideRequest(run_id=run, approval_id="a1", approved=True)
        assert await code(stub.Decide(decision, metadata=decides)) == "OK"
        await drain(stream)

        async def gone() -> bool:
            return await seen(decides) == ("NOT_FOUND", 0)

        await until(gone)

        async def answer(run_id: str, metadata: Metadata) -> str:
            request = pb.DecideRequest(run_id=run_id, approval_id="a7", approved=True)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Decide(request, metadata=metadata)
            return str(caught.value.details()).replace(run_id, "RUN")

        assert await answer(run, decides) == await answer("run_none", decides) == "there is no run 'RUN'"
        assert "waits for no approval" in await answer(run, keys.metadata("acme", "ann", "runs.decide:*"))
