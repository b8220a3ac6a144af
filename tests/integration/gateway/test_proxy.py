"""Native gRPC through the gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from headworks.orchestrator.v1 import agent_service_pb2 as agent_pb
from headworks.orchestrator.v1 import agent_service_pb2_grpc as agent_grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as orchestrator_pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as orchestrator_grpc
from headworks.orchestrator.v1 import run_pb2
from headworks.orchestrator.v1 import session_service_pb2 as session_pb
from headworks.orchestrator.v1 import session_service_pb2_grpc as session_grpc
from headworks.retrieval.v1 import retrieval_service_pb2 as retrieval_pb
from headworks.retrieval.v1 import retrieval_service_pb2_grpc as retrieval_grpc

from gateway.faces.native.forward import Forward, handlers
from services.runtime import call as calls
from services.runtime import statuses
from services.runtime.call import Call
from services.runtime.errors import CollectionNotFound, ErrorKind, UpstreamError
from services.runtime.interceptors import layers
from services.runtime.server import App
from tests.fakes.agent_keeper import FakeAgents, FakeRuns, FakeSessions, app
from tests.fakes.agent_run import whole_run
from tests.fakes.orchestrator import FakeOrchestrator, events
from tests.fakes.search import FakeRetrieval, hit
from tests.fakes.serving import channel_for, generic, until
from tests.integration.gateway.conftest import BEARER, MakeGateway

KINDS = ["unary_unary", "unary_stream", "stream_unary", "stream_stream"]


def four_kinds() -> ServiceDescriptor:
    """A service with one method of each kind."""
    file = descriptor_pb2.FileDescriptorProto(name="test_four.proto", package="test", syntax="proto3")
    file.message_type.add(name="Empty")
    service = file.service.add(name="Four")
    for kind in KINDS:
        client, server = (word == "stream" for word in kind.split("_"))
        service.method.add(
            name=kind,
            input_type=".test.Empty",
            output_type=".test.Empty",
            client_streaming=client,
            server_streaming=server,
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool.FindServiceByName("test.Four")


@dataclass
class Four:
    """Echoes, twice where it streams; holds where it is told; fails with `error`."""

    hold: bool = False
    error: Exception | None = None
    calls: list[Call] = field(default_factory=list)
    finished: int = 0
    held: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def _work(self, request: Any) -> bytes:
        self.calls.append(calls.current())
        try:
            return await self._answer(request)
        finally:
            self.left.set()

    async def _answer(self, request: Any) -> bytes:
        received = request if isinstance(request, bytes) else b"".join([part async for part in request])
        self.finished += 1
        if self.hold:
            self.held.set()
            await asyncio.Event().wait()
        if self.error:
            raise self.error
        return received

    async def one(self, request: Any, context: Any) -> bytes:
        return await self._work(request)

    async def many(self, request: Any, context: Any) -> AsyncIterator[bytes]:
        received = await self._work(request)
        yield received
        yield received

    @property
    def app(self) -> App:
        made = {
            kind: getattr(grpc, f"{kind}_rpc_method_handler")(self.many if kind.endswith("stream") else self.one)
            for kind in KINDS
        }
        return generic("test.Four", made, layers=layers(None, 30))


@asynccontextmanager
async def proxied(four: Four, longest: float = 30) -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:
        behind = await stack.enter_async_context(channel_for(four.app))
        forward = Forward(handlers(four_kinds(), behind))
        app = App(lambda server: server.add_generic_rpc_handlers((forward,)), [], layers=layers(None, longest))
        yield await stack.enter_async_context(channel_for(app))


async def parts(*given: bytes) -> AsyncIterator[bytes]:
    for part in given:
        yield part


def call(channel: Any, kind: str, *given: bytes, **options: Any) -> Any:
    method = getattr(channel, kind)(f"/test.Four/{kind}")
    return method(parts(*given) if kind.startswith("stream") else b"".join(given), **options)


async def answer(called: Any, kind: str) -> list[bytes]:
    return [message async for message in called] if kind.endswith("stream") else [await called]


@pytest.mark.parametrize("kind", KINDS)
async def test_bytes_pass_each_way(kind: str) -> None:
    async with proxied(Four()) as channel:
        called = call(channel, kind, b"a\xff", b"b" * 100_000)
        got = await answer(called, kind)
        timing = dict(await called.trailing_metadata())["server-timing"]
    assert got == [b"a\xff" + b"b" * 100_000] * (2 if kind.endswith("stream") else 1)
    assert timing.startswith("gateway;dur=")
    assert 0 < float(timing.split("=")[1]) < 30_000


@pytest.mark.parametrize("kind", KINDS)
async def test_empty_messages_and_streams_pass(kind: str) -> None:
    async with proxied(Four()) as channel:
        assert b"".join(await answer(call(channel, kind), kind)) == b""


@pytest.mark.parametrize("kind", KINDS)
async def test_an_error_passes_with_its_reason(kind: str) -> None:
    async with proxied(Four(error=UpstreamError(ErrorKind.FAILED_PRECONDITION, "WHY", "so", limit="3"))) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await answer(call(channel, kind, b"x"), kind)
    info = statuses.error_info(caught.value)
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "so")
    assert info is not None
    assert (info.reason, dict(info.metadata)) == ("WHY", {"limit": "3"})


@pytest.mark.parametrize("kind", KINDS)
async def test_a_caller_who_leaves_leaves_the_service_behind_too(kind: str) -> None:
    four = Four(hold=True)
    async with proxied(four) as channel:
        called = call(channel, kind, b"x")
        await four.held.wait()
        called.cancel()
        await until(four.left.is_set, 60)


@pytest.mark.parametrize("kind", ["stream_unary", "stream_stream"])
async def test_a_stream_that_is_cut_is_not_closed_behind(kind: str) -> None:
    """What the service behind does at the end of a stream, such as deleting what was not named, is not done."""
    four = Four()
    async with proxied(four) as channel:
        for number in range(20):
            called = getattr(channel, kind)(f"/test.Four/{kind}")()
            await called.write(b"x")
            await until(lambda number=number: len(four.calls) > number and four.calls[number].received == 1)
            called.cancel()
        await until(lambda: [behind.code for behind in four.calls] == [ErrorKind.CANCELLED] * 20, 60)
    assert four.finished == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("callers", "longest"), [(5, 30), (30, 5), (None, 5)])
async def test_the_deadline_goes_along(kind: str, callers: float | None, longest: float) -> None:
    four = Four()
    async with proxied(four, longest) as channel:
        await answer(call(channel, kind, b"x", timeout=callers), kind)
    # What it was when the call was made behind, less what has gone since.
    assert 0 < four.calls[0].deadline - four.calls[0].started <= 5.5


@pytest.mark.parametrize("kind", KINDS)
async def test_a_deadline_that_passes_ends_the_call_behind(kind: str) -> None:
    four = Four(hold=True)
    async with proxied(four) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await answer(call(channel, kind, b"x", timeout=0.5), kind)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: four.left.is_set() or not four.calls)


async def test_ids_go_along_and_nothing_else() -> None:
    four = Four()
    given = (
        ("x-request-id", "req_1"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("x-headworks-replica", "orchestrator-9"),
        ("x-mine", "secret"),
    )
    async with proxied(four) as channel:
        await call(channel, "unary_unary", b"x", metadata=given)
    behind = four.calls[0].metadata
    assert four.calls[0].request_id == "req_1"
    assert behind["traceparent"].split("-")[1] == "0af7651916cd43dd8448eb211c80319c"
    assert not {"x-headworks-replica", "x-mine"} & set(behind)


async def test_a_method_that_no_service_has() -> None:
    async with proxied(Four()) as channel:
        assert await channel.unary_unary("/test.Four/five")(b"").code() is grpc.StatusCode.UNIMPLEMENTED


async def test_the_orchestrator_behind_the_gateway(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(FakeOrchestrator(events("Cats sleep.")))
    stub: Any = orchestrator_grpc.OrchestratorServiceStub(gateway.channel)
    ask = orchestrator_pb.RunRequest(messages=[run_pb2.Message(role=run_pb2.Message.ROLE_USER, content="why?")])
    got = [event.WhichOneof("event") async for response in stub.Run(ask, metadata=BEARER) for event in response.events]
    assert got == ["started", "text", "citation", "usage", "finished"]
    assert gateway.orchestrator.calls[0].tenant == "acme"
    assert gateway.orchestrator.runs == [ask]


async def test_agents_and_sessions_behind_the_gateway(make_gateway: MakeGateway) -> None:
    agents, sessions = FakeAgents(), FakeSessions()
    sessions.messages["s1"] = []
    gateway = await make_gateway(behind=app(FakeRuns(whole_run()), agents, sessions))
    stub: Any = agent_grpc.AgentServiceStub(gateway.channel)
    applied = await stub.ApplyAgent(agent_pb.ApplyAgentRequest(spec="name: ann\n"), metadata=BEARER)
    assert (applied.agent.name, applied.changed) == ("ann", True)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetAgent(agent_pb.GetAgentRequest(name="bob"), metadata=BEARER)
    info = statuses.error_info(caught.value)
    assert (caught.value.code(), info and info.reason) == (grpc.StatusCode.NOT_FOUND, "AGENT_NOT_FOUND")
    keeper: Any = session_grpc.SessionServiceStub(gateway.channel)
    listed = await keeper.ListSessions(session_pb.ListSessionsRequest(), metadata=BEARER)
    assert [one.id for one in listed.sessions] == ["s1"]


@pytest.mark.parametrize("service", [orchestrator_pb, agent_pb, session_pb, retrieval_pb], ids=lambda one: one.__name__)
async def test_every_method_asks_who_calls(make_gateway: MakeGateway, service: Any) -> None:
    """A method that was forgotten would answer UNIMPLEMENTED."""
    gateway = await make_gateway()
    channel: Any = gateway.channel
    for described in service.DESCRIPTOR.services_by_name.values():
        for method in described.methods:
            kind = (
                f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
            )
            called = getattr(channel, kind)(f"/{described.full_name}/{method.name}")
            code = await called(parts(b"") if method.client_streaming else b"").code()
            assert code is grpc.StatusCode.UNAUTHENTICATED, method.full_name


async def test_retrieval_behind_the_gateway(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(retrieval=FakeRetrieval({"cats": [hit(1, "Cats sleep.")]}))
    stub: Any = retrieval_grpc.RetrievalServiceStub(gateway.channel)
    found = await stub.Search(retrieval_pb.SearchRequest(collection="cats", query="x"), metadata=BEARER)
    assert [one.passage.text for one in found.hits] == ["Cats sleep."]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Search(retrieval_pb.SearchRequest(collection="dogs", query="x"), metadata=BEARER)
    info = statuses.error_info(caught.value)
    assert (caught.value.code(), info and info.reason) == (grpc.StatusCode.NOT_FOUND, CollectionNotFound.reason)
