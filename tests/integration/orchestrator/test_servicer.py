"""The orchestrator over a channel."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import run_event_pb2, run_pb2

from services.orchestrator.adapters.peers import Peers
from services.orchestrator.directory import RunDirectory
from services.orchestrator.runs.access import Viewer
from services.orchestrator.runs.agent import Agent
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.heartbeat import Heartbeat
from services.orchestrator.runs.records import RunFilter, RunRecords
from services.orchestrator.runs.run import new_id
from services.orchestrator.servicers.runs import OrchestratorServicer
from services.orchestrator.sessions.store import SessionStore
from services.orchestrator.sessions.window import Sessions
from services.runtime import call as calls
from services.runtime import statuses
from services.runtime.call import REPLICA_KEY
from services.runtime.channels import open_channel
from services.runtime.errors import CollectionNotFound, Unavailable
from services.runtime.interceptors import layers
from services.runtime.server import App
from tests.fakes.agents import FakeAgent, FixedAgents
from tests.fakes.identity import Keys
from tests.fakes.renewing import identities
from tests.fakes.serving import app_of, generic, serving, until
from tests.fixtures.runs import opened_records

Stub = Any


@dataclass
class Replica:
    """One orchestrator, and a stub that calls it."""

    name: str
    executor: Executor
    records: RunRecords
    address: str
    stub: Stub


def router(targets: dict[str, Any], seen: list[str]) -> App:
    """What xDS does for the services: a call goes to the replica that its header names."""

    def pick(context: Any) -> Any:
        metadata = dict(context.invocation_metadata())
        seen.append(metadata[REPLICA_KEY])
        return targets[metadata[REPLICA_KEY]]

    def onward(context: Any) -> tuple[tuple[str, str], ...]:
        kept = ("x-headworks-identity", "x-request-id", REPLICA_KEY)
        return tuple((key, value) for key, value in context.invocation_metadata() if key in kept)

    def unary(method: str) -> Any:
        async def forward(request: bytes, context: Any) -> bytes:
            found: bytes = await pick(context).unary_unary(method)(request, metadata=onward(context))
            return found

        return grpc.unary_unary_rpc_method_handler(forward)

    async def attach(request: bytes, context: Any) -> AsyncIterator[bytes]:
        method = pick(context).unary_stream("/headworks.orchestrator.v1.OrchestratorService/Attach")
        async for response in method(request, metadata=onward(context)):
            yield response

    service = "headworks.orchestrator.v1.OrchestratorService"
    handlers = {name: unary(f"/{service}/{name}") for name in ("Cancel", "Decide", "GetRun")}
    return generic(
        service, handlers | {"Attach": grpc.unary_stream_rpc_method_handler(attach)}, layers=layers(None, 60)
    )


@asynccontextmanager
async def replicas(
    keys: Keys, records_url: str, *agents: Agent, limit: int = 100, seen: list[str] | None = None
) -> AsyncIterator[list[Replica]]:
    """One replica for each agent, with one record, each reached by its name through a router."""
    targets: dict[str, Any] = {}
    async with AsyncExitStack() as stack:
        nowhere = await stack.enter_async_context(identities(keys.verifier, "127.0.0.1:1"))
        routed = await stack.enter_async_context(serving(router(targets, seen if seen is not None else [])))
        peers = await stack.enter_async_context(open_channel(routed))
        made = []
        for number, agent in enumerate(agents):
            name = f"orchestrator-{number}"
            records = await stack.enter_async_context(opened_records(records_url, name))
            executor = Executor(FixedAgents([agent]), records, limit, Sessions(SessionStore(records.database)))
            keeper = Heartbeat(executor, records, nowhere.of_left, 30, 0.2, 2)
            stack.push_async_callback(keeper.aclose)
            stack.push_async_callback(executor.aclose)
            await keeper.open()
            servicer = OrchestratorServicer(executor, RunDirectory(executor, records), Peers(peers, name), nowhere, 30)
            address = await stack.enter_async_context(serving(app_of(servicer), verifier=keys.verifier))
            channel = await stack.enter_async_context(open_channel(address))
            targets[name] = channel
            made.append(Replica(name, executor, records, address, pb_grpc.OrchestratorServiceStub(channel)))
        yield made


def ask(question: str = "why?", **fields: Any) -> pb.RunRequest:
    message = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content=question)
    return pb.RunRequest(messages=[message], **fields)


async def drain(stream: Any) -> tuple[list[run_event_pb2.RunEvent], grpc.aio.AioRpcError | None]:
    """All events of a stream, and the error that ended it."""
    events = []
    try:
        while (response := await stream.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]  # missing in the stubs
            events += response.events
    except grpc.aio.AioRpcError as error:
        return events, error
    return events, None


def kinds(events: list[run_event_pb2.RunEvent]) -> list[str | None]:
    return [event.WhichOneof("event") for event in events]


async def test_a_run(keys: Keys, records_url: str) -> None:
    async with replicas(keys, records_url, FakeAgent()) as (replica,):
        events, error = await drain(replica.stub.Run(ask(), metadata=keys.metadata()))
    assert error is None
    assert kinds(events) == ["started", "text", "text", "finished"]
    assert [event.sequence for event in events] == [1, 2, 3, 4]
    assert len({event.run_id for event in events}) == 1
    assert events[-1].finished.reason == run_pb2.FINISH_REASON_STOP


@pytest.mark.parametrize(
    ("request_", "code", "reason"),
    [
        (pb.RunRequest(), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
        (ask(" "), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
        (ask(session_id="x" * 65), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
        (ask(max_passages=99), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
        (ask(model="gpt-4"), grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"),
        (ask(model="語" * 100_000), grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"),
    ],
)
async def test_what_starts_no_run(
    keys: Keys, records_url: str, request_: pb.RunRequest, code: grpc.StatusCode, reason: str
) -> None:
    async with replicas(keys, records_url, FakeAgent()) as (replica,):
        events, error = await drain(replica.stub.Run(request_, metadata=keys.metadata()))
        assert error is not None
        info = statuses.error_info(error)
        assert (events, error.code(), info and info.reason) == ([], code, reason)
        listed = await replica.stub.ListRuns(pb.ListRunsRequest(), metadata=keys.metadata())
        assert not listed.runs


@pytest.mark.parametrize(
    ("failure", "code", "reason"),
    [
        (CollectionNotFound("default"), grpc.StatusCode.NOT_FOUND, "COLLECTION_NOT_FOUND"),
        (Unavailable("gone"), grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE"),
        (RuntimeError("boom"), grpc.StatusCode.INTERNAL, "INTERNAL"),
    ],
    ids=repr,
)
async def test_an_error_comes_as_the_last_event_and_then_as_the_status(
    keys: Keys, records_url: str, failure: Exception, code: grpc.StatusCode, reason: str
) -> None:
    async with replicas(keys, records_url, FakeAgent([], error=failure)) as (replica,):
        events, error = await drain(replica.stub.Run(ask(), metadata=keys.metadata()))
    assert kinds(events) == ["started", "finished"]
    finished = events[-1].finished
    assert (finished.reason, finished.error_reason) == (run_pb2.FINISH_REASON_ERROR, reason)
    assert finished.error_code == code.value[0]
    assert error is not None
    info = statuses.error_info(error)
    assert (error.code(), info and info.reason) == (code, reason)


async def test_a_deadline_comes_as_the_last_event_too(keys: Keys, records_url: str) -> None:
    agent = FakeAgent(hold=1)
    async with replicas(keys, records_url, agent) as (replica,):
        events, error = await drain(replica.stub.Run(ask(), metadata=keys.metadata(), timeout=4))
        assert agent.closed == 1
    assert kinds(events) == ["started", "text", "finished"]
    assert events[-1].finished.reason == run_pb2.FINISH_REASON_DEADLINE_EXCEEDED
    assert error is not None
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_too_many_runs_are_refused(keys: Keys, records_url: str) -> None:
    agent = FakeAgent(hold=0)
    async with replicas(keys, records_url, agent, limit=1) as (replica,):
        first = replica.stub.Run(ask(), metadata=keys.metadata())
        await agent.held.wait()
        _, error = await drain(replica.stub.Run(ask(), metadata=keys.metadata()))
        assert error is not None
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        agent.release.set()
        assert (await drain(first))[1] is None


@pytest.mark.parametrize("read", [0, 1, 2])
async def test_a_caller_who_leaves_ends_the_run(keys: Keys, records_url: str, read: int) -> None:
    agent = FakeAgent(hold=1)
    async with replicas(keys, records_url, agent) as (replica,):
        stream = replica.stub.Run(ask(), metadata=keys.metadata())
        seen = 0
        while seen < read:
            seen += len((await stream.read()).events)
        await agent.held.wait()
        stream.cancel()
        await until(lambda: agent.closed)
        run = await only_run(keys, replica, run_pb2.Run.STATE_CANCELLED)
    assert run.finish_reason == run_pb2.FINISH_REASON_CANCELLED


async def only_run(keys: Keys, replica: Replica, state: Any) -> run_pb2.Run:
    async def look() -> run_pb2.Run | None:
        listed = await replica.stub.ListRuns(pb.ListRunsRequest(), metadata=keys.metadata())
        return next((run for run in listed.runs if run.state == state), None)

    found: run_pb2.Run = await until(look)
    return found


async def test_a_detached_run_survives_its_caller(keys: Keys, records_url: str) -> None:
    agent = FakeAgent(hold=1)
    async with replicas(keys, records_url, agent) as (replica,):
        stream = replica.stub.Run(ask(detached=True), metadata=keys.metadata())
        first = (await stream.read()).events[0]
        await agent.held.wait()
        stream.cancel()
        await until(lambda: not [task for task in asyncio.all_tasks() if "_serve_stream" in repr(task.get_coro())])
        agent.release.set()
        attach = pb.AttachRequest(run_id=first.run_id, after_sequence=first.sequence)
        events, error = await drain(replica.stub.Attach(attach, metadata=keys.metadata()))
    assert error is None
    assert [event.sequence for event in events] == [2, 3, 4]
    assert events[-1].finished.reason == run_pb2.FINISH_REASON_STOP


async def test_a_detached_run_has_a_deadline_of_its_own(keys: Keys, records_url: str) -> None:
    remaining: list[float] = []

    class Curious(FakeAgent):
        async def run(self, ask: Any, journal: Any) -> Any:
            remaining.append(calls.current().remaining)
            async for body in super().run(ask, journal):
                yield body

    async with replicas(keys, records_url, Curious()) as (replica,):
        for detached in (True, False):
            await drain(replica.stub.Run(ask(detached=detached), metadata=keys.metadata(), timeout=2))
    assert remaining == [pytest.approx(30, abs=1), pytest.approx(2, abs=0.5)]


@pytest.mark.parametrize(
    ("after", "expected"), [(0, [1, 2, 3, 4]), (2, [3, 4]), (4, []), (99, [])], ids=["all", "rest", "none", "beyond"]
)
async def test_attach_after_a_sequence_number(keys: Keys, records_url: str, after: int, expected: list[int]) -> None:
    async with replicas(keys, records_url, FakeAgent()) as (replica,):
        (first, *_), _ = await drain(replica.stub.Run(ask(), metadata=keys.metadata()))
        attach = pb.AttachRequest(run_id=first.run_id, after_sequence=after)
        events, error = await drain(replica.stub.Attach(attach, metadata=keys.metadata()))
    assert error is None
    assert [event.sequence for event in events] == expected


async def test_attach_follows_live_and_leaving_it_does_not_touch_the_run(keys: Keys, records_url: str) -> None:
    agent = FakeAgent(hold=1)
    async with replicas(keys, records_url, agent) as (replica,):
        stream = replica.stub.Run(ask(), metadata=keys.metadata())
        run_id = (await stream.read()).events[0].run_id
        await agent.held.wait()
        stays = replica.stub.Attach(pb.AttachRequest(run_id=run_id), metadata=keys.metadata())
        leaves = replica.stub.Attach(pb.AttachRequest(run_id=run_id), metadata=keys.metadata())
        for reader in (stays, leaves):
            assert (await reader.read()).events[0].sequence == 1
        leaves.cancel()
        agent.release.set()
        assert kinds((await drain(stays))[0])[-1] == "finished"
        assert (await drain(stream))[1] is None


async def test_cancel(keys: Keys, records_url: str) -> None:
    agent = FakeAgent(hold=1)
    async with replicas(keys, records_url, agent) as (replica,):
        stream = replica.stub.Run(ask(), metadata=keys.metadata())
        run_id = (await stream.read()).events[0].run_id
        await agent.held.wait()
        cancelled = await replica.stub.Cancel(pb.CancelRequest(run_id=run_id), metadata=keys.metadata())
        events, error = await drain(stream)
        again = await replica.stub.Cancel(pb.CancelRequest(run_id=run_id), metadata=keys.metadata())
    assert (cancelled.run.state, cancelled.run.finish_reason) == (4, run_pb2.FINISH_REASON_CANCELLED)
    assert error is None
    assert events[-1].finished.reason == run_pb2.FINISH_REASON_CANCELLED
    assert again.run == cancelled.run


async def test_get_run_while_it_lasts_and_after(keys: Keys, records_url: str) -> None:
    agent = FakeAgent(hold=1)
    async with replicas(keys, records_url, agent) as (replica,):
        stream = replica.stub.Run(ask(collection="cats"), metadata=keys.metadata())
        run_id = (await stream.read()).events[0].run_id
        await agent.held.wait()
        during = (await replica.stub.GetRun(pb.GetRunRequest(run_id=run_id), metadata=keys.metadata())).run
        agent.release.set()
        await drain(stream)
        after = (await replica.stub.GetRun(pb.GetRunRequest(run_id=run_id), metadata=keys.metadata())).run
    assert (during.id, during.model, during.collection, during.state) == (run_id, "rag", "cats", 1)
    assert not during.HasField("end_time")
    assert (after.state, after.last_sequence, after.HasField("end_time")) == (2, 4, True)
    assert abs(after.end_time.ToDatetime().timestamp() - after.create_time.ToDatetime().timestamp()) < 10


@pytest.mark.parametrize("size", [0, 2, 5, 1000])
async def test_list_runs_by_pages_newest_first(keys: Keys, records_url: str, size: int) -> None:
    async with replicas(keys, records_url, FakeAgent()) as (replica,):
        ids = []
        for _ in range(5):
            (first, *_), _ = await drain(replica.stub.Run(ask(), metadata=keys.metadata()))
            ids.append(first.run_id)

        async def all_are_stored() -> bool:
            return len(await replica.records.newest(Viewer("acme", others=True), 10, None, RunFilter())) == 5

        await until(all_are_stored)
        found, token, pages = [], "", 0
        while pages == 0 or token:
            request = pb.ListRunsRequest(page_size=size, page_token=token)
            page = await replica.stub.ListRuns(request, metadata=keys.metadata())
            found += [run.id for run in page.runs]
            token, pages = page.next_page_token, pages + 1
    assert found == ids[::-1]
    assert pages == {0: 1, 2: 3, 5: 1, 1000: 1}[size]


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("ListRuns", pb.ListRunsRequest(page_size=-1)),
        ("ListRuns", pb.ListRunsRequest(page_size=1001)),
        ("ListRuns", pb.ListRunsRequest(page_token="garbage")),
        ("Attach", pb.AttachRequest(run_id="run_x_1", after_sequence=-1)),
    ],
)
async def test_malformed_requests(keys: Keys, records_url: str, method: str, request_: Any) -> None:
    async with replicas(keys, records_url, FakeAgent()) as (replica,):
        assert await getattr(replica.stub, method)(request_, metadata=keys.metadata()).code() is (
            grpc.StatusCode.INVALID_ARGUMENT
        )


@pytest.mark.parametrize("method", ["Attach", "Cancel", "GetRun"])
@pytest.mark.parametrize(
    "run_id", ["", "nothing", "run_x\n_1", "run_語_1", "run_" + "x" * 9000 + "y z_1", f"run_orchestrator-0_{0:032x}"]
)
async def test_unknown_runs(keys: Keys, records_url: str, method: str, run_id: str) -> None:
    request_ = getattr(pb, f"{method}Request")(run_id=run_id)
    async with replicas(keys, records_url, FakeAgent()) as (replica,):
        call = getattr(replica.stub, method)(request_, metadata=keys.metadata())
        assert await call.code() is grpc.StatusCode.NOT_FOUND


async def test_tenants_do_not_see_each_others_runs(keys: Keys, records_url: str) -> None:
    agent = FakeAgent(hold=1)
    async with replicas(keys, records_url, agent, FakeAgent()) as (first, second):
        stream = first.stub.Run(ask(), metadata=keys.metadata("acme"))
        run_id = (await stream.read()).events[0].run_id
        await until(lambda: first.records.get("acme", run_id))
        for replica in (first, second):
            for method in ("Attach", "Cancel", "GetRun"):
                request_ = getattr(pb, f"{method}Request")(run_id=run_id)
                call = getattr(replica.stub, method)(request_, metadata=keys.metadata("other"))
                assert await call.code() is grpc.StatusCode.NOT_FOUND
            listed = await replica.stub.ListRuns(pb.ListRunsRequest(), metadata=keys.metadata("other"))
            assert not listed.runs
        agent.release.set()
        assert (await drain(stream))[0][-1].finished.reason == run_pb2.FINISH_REASON_STOP


async def test_another_replica_passes_calls_on_to_the_owner(keys: Keys, records_url: str) -> None:
    seen: list[str] = []
    agent = FakeAgent(hold=1)
    async with replicas(keys, records_url, agent, FakeAgent(), seen=seen) as (owner, other):
        stream = owner.stub.Run(ask(), metadata=keys.metadata())
        run_id = (await stream.read()).events[0].run_id
        await agent.held.wait()
        attached = other.stub.Attach(pb.AttachRequest(run_id=run_id, after_sequence=1), metadata=keys.metadata())
        assert (await attached.read()).events[0].sequence == 2
        got = await other.stub.GetRun(pb.GetRunRequest(run_id=run_id), metadata=keys.metadata())
        assert (got.run.state, got.run.last_sequence) == (1, 2)
        cancelled = await other.stub.Cancel(pb.CancelRequest(run_id=run_id), metadata=keys.metadata())
        assert cancelled.run.state == run_pb2.Run.STATE_CANCELLED
        assert kinds((await drain(attached))[0])[-1] == "finished"
        await drain(stream)
    assert seen == [owner.name] * 3


@pytest.mark.parametrize("method", ["Attach", "Cancel", "GetRun"])
async def test_a_call_is_passed_on_once_only(keys: Keys, records_url: str, method: str) -> None:
    seen: list[str] = []
    request_ = getattr(pb, f"{method}Request")(run_id=new_id("orchestrator-9"))
    metadata = (*keys.metadata(), (REPLICA_KEY, "orchestrator-9"))
    async with replicas(keys, records_url, FakeAgent(), seen=seen) as (replica,):
        assert await getattr(replica.stub, method)(request_, metadata=metadata).code() is grpc.StatusCode.NOT_FOUND
    assert seen == []


async def test_what_is_over_is_told_from_the_record_by_any_replica(keys: Keys, records_url: str) -> None:
    seen: list[str] = []
    async with replicas(keys, records_url, FakeAgent(), FakeAgent(), seen=seen) as (owner, other):
        (first, *_), _ = await drain(owner.stub.Run(ask(), metadata=keys.metadata()))
        events, _ = await drain(other.stub.Attach(pb.AttachRequest(run_id=first.run_id), metadata=keys.metadata()))
        got = await other.stub.GetRun(pb.GetRunRequest(run_id=first.run_id), metadata=keys.metadata())
    assert [event.sequence for event in events] == [1, 2, 3, 4]
    assert got.run.state == run_pb2.Run.STATE_SUCCEEDED
    assert seen == []


async def test_who_leaves_a_passed_on_stream_leaves_the_owner_too(keys: Keys, records_url: str) -> None:
    agent = FakeAgent(hold=1)
    async with replicas(keys, records_url, agent, FakeAgent()) as (owner, other):
        stream = owner.stub.Run(ask(), metadata=keys.metadata())
        run_id = (await stream.read()).events[0].run_id
        await agent.held.wait()
        attached = other.stub.Attach(pb.AttachRequest(run_id=run_id), metadata=keys.metadata())
        await attached.read()

        def attach_tasks() -> list[Any]:
            return [task for task in asyncio.all_tasks() if "Attach" in repr(task) or "attach" in repr(task)]

        attached.cancel()
        await until(lambda: not attach_tasks())
        assert agent.closed == 0
        agent.release.set()
        await drain(stream)


async def test_models(keys: Keys, records_url: str) -> None:
    async with replicas(keys, records_url, FakeAgent(description="Answers.")) as (replica,):
        listed = await replica.stub.ListModels(pb.ListModelsRequest(), metadata=keys.metadata())
    assert [(model.id, model.description) for model in listed.models] == [("rag", "Answers.")]


async def test_many_callers_who_leave_at_once_leave_nothing(keys: Keys, records_url: str) -> None:
    agent, started = FakeAgent(hold=1), time.monotonic()
    async with replicas(keys, records_url, agent, limit=1000) as (replica,):
        for number in range(300):
            stream = replica.stub.Run(ask(), metadata=keys.metadata())
            if number % 3:
                await stream.read()
            stream.cancel()
        await until(lambda: agent.closed == len(agent.asked), 20)
        await until(lambda: not [task for task in asyncio.all_tasks() if task.get_name().startswith("run_")])
    assert time.monotonic() - started < 30
