"""Native gRPC clients, through the same edge."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import run_pb2
from headworks.retrieval.v1 import retrieval_service_pb2 as retrieval_pb
from headworks.retrieval.v1 import retrieval_service_pb2_grpc as retrieval_grpc

from services.runtime.statuses import error_info
from tests.e2e.conftest import COLLECTION
from tests.e2e.meshes import Mesh


@pytest.fixture
async def channel(mesh: Mesh) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(mesh.target) as channel:
        yield channel


def request(text: str = "How long does a worker bee live in summer?", **fields: object) -> pb.RunRequest:
    message = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content=text)
    return pb.RunRequest(messages=[message], collection=COLLECTION, **fields)  # type: ignore[arg-type]


async def test_a_run_is_one_numbered_stream_of_events(mesh: Mesh, channel: grpc.aio.Channel) -> None:
    stub = pb_grpc.OrchestratorServiceStub(channel)
    events = [
        event async for response in stub.Run(request(), timeout=30, metadata=mesh.metadata) for event in response.events
    ]
    kinds = [event.WhichOneof("event") for event in events]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert kinds[:4] == ["started", "step_started", "passages", "step_finished"]
    assert kinds[-1] == "finished"
    answer = "".join(event.text.text for event in events if event.WhichOneof("event") == "text")
    assert "six weeks in summer" in answer
    hops = {timing.hop for timing in events[-1].finished.timings}
    assert {"orchestrator", "retrieval", "embed", "store", "extractive"} <= hops

    run_id = events[0].run_id
    again = stub.Attach(pb.AttachRequest(run_id=run_id, after_sequence=2), timeout=10, metadata=mesh.metadata)
    assert [event async for response in again for event in response.events] == events[2:]
    run = (await stub.GetRun(pb.GetRunRequest(run_id=run_id), timeout=10, metadata=mesh.metadata)).run
    assert run.state == run_pb2.Run.STATE_SUCCEEDED
    listed = await stub.ListRuns(pb.ListRunsRequest(page_size=1000), timeout=10, metadata=mesh.metadata)
    assert run_id in [found.id for found in listed.runs]


async def test_search_explains_its_scores(mesh: Mesh, channel: grpc.aio.Channel) -> None:
    stub = retrieval_grpc.RetrievalServiceStub(channel)
    found = await stub.Search(
        retrieval_pb.SearchRequest(collection=COLLECTION, query="source of the Rhine"),
        timeout=10,
        metadata=mesh.metadata,
    )
    assert found.hits[0].passage.document_id.endswith("rivers.md")
    signals = {signal.signal: signal.contribution for signal in found.hits[0].signals}
    assert {"dense", "lexical"} <= set(signals)
    assert found.hits[0].score == pytest.approx(sum(signals.values()), rel=0.05)


async def test_errors_carry_their_reason_through_the_edge(mesh: Mesh, channel: grpc.aio.Channel) -> None:
    stub = retrieval_grpc.RetrievalServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Search(
            retrieval_pb.SearchRequest(collection="nowhere", query="x"), timeout=10, metadata=mesh.metadata
        )
    info = error_info(raised.value)
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND
    assert info is not None
    assert info.reason == "COLLECTION_NOT_FOUND"


async def test_a_call_without_a_key_is_refused(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await pb_grpc.OrchestratorServiceStub(channel).ListRuns(pb.ListRunsRequest(), timeout=10)
    assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_a_deadline_that_passes(mesh: Mesh, channel: grpc.aio.Channel) -> None:
    stub = pb_grpc.OrchestratorServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        async for _ in stub.Run(request(), timeout=0.002, metadata=mesh.metadata):
            pass
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_health_and_reflection_at_the_edge(channel: grpc.aio.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    response = await health.Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert response.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_stream_cut_by_the_client_ends_the_run(mesh: Mesh, channel: grpc.aio.Channel) -> None:
    stub = pb_grpc.OrchestratorServiceStub(channel)
    call = stub.Run(request(), timeout=30, metadata=mesh.metadata)
    first = await anext(aiter(call))
    call.cancel()
    async with asyncio.timeout(10):
        while True:
            found = await stub.GetRun(
                pb.GetRunRequest(run_id=first.events[0].run_id), timeout=10, metadata=mesh.metadata
            )
            if found.run.state != run_pb2.Run.STATE_RUNNING:
                return
