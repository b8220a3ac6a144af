"""Runs of agents from the cache: what they rest on is looked at each time, as their caller."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from headworks.gateway.v1 import cache_service_pb2 as pb
from headworks.gateway.v1 import cache_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import agent_pb2, agent_service_pb2, agent_service_pb2_grpc, run_event_pb2, run_pb2
from headworks.orchestrator.v1 import orchestrator_service_pb2 as run_pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as run_grpc
from headworks.retrieval.v1 import retrieval_service_pb2 as retrieval_pb

from gateway.calls.documents import Documents as Versions
from services.runtime.call import Call
from services.runtime.errors import ErrorKind, UpstreamError
from services.runtime.identity import Identity
from services.runtime.server import App
from tests.fakes.orchestrator import FakeOrchestrator, events, tool_call
from tests.fakes.search import FakeRetrieval
from tests.fakes.serving import channel_for
from tests.integration.gateway.conftest import BEARER, Gateway, MakeGateway

SPEC = "name: rag\nretrieval: {mode: always}\n"
AgentBase: Any = agent_service_pb2_grpc.AgentServiceServicer  # whose other methods nobody calls


class Agents(AgentBase):  # type: ignore[misc]
    """Has the agent `rag`."""

    async def GetAgent(  # noqa: N802
        self, request: agent_service_pb2.GetAgentRequest, context: Any
    ) -> agent_service_pb2.GetAgentResponse:
        agent = agent_pb2.Agent(name="rag", version=2, spec=SPEC, model="bare", models=["bare"])
        return agent_service_pb2.GetAgentResponse(agent=agent)


class Documents(FakeRetrieval):
    """Has documents d0 and d1 in "default", of which each has a version."""

    def __init__(self) -> None:
        super().__init__()
        self.versions = {"d0": 1, "d1": 1}
        self.embedder = "minilm"

    async def ListCollections(  # noqa: N802
        self, request: retrieval_pb.ListCollectionsRequest, context: Any
    ) -> retrieval_pb.ListCollectionsResponse:
        listed = retrieval_pb.ListCollectionsResponse()
        for name in request.names:
            listed.collections.add(name=name, embedder=self.embedder, document_count=len(self.versions))
        return listed

    async def GetDocument(  # noqa: N802
        self, request: retrieval_pb.GetDocumentRequest, context: Any
    ) -> retrieval_pb.GetDocumentResponse:
        if request.document_id not in self.versions:
            raise UpstreamError(ErrorKind.NOT_FOUND, "DOCUMENT_NOT_FOUND", "there is no such document")
        found = retrieval_pb.GetDocumentResponse()
        found.document.id = request.document_id
        found.document.update_time.seconds = self.versions[request.document_id]
        return found


class Side:
    def __init__(self, gateway: Gateway, documents: Documents) -> None:
        self.gateway = gateway
        self.orchestrator = gateway.orchestrator
        self.documents = documents

    async def ask(self, **fields: Any) -> tuple[str, Any]:
        call = self.gateway.chat(**fields)
        status = (await call.response()).headers.get("x-headworks-cache", "")
        return status, b"".join([part.data async for part in call])

    async def status(self, **fields: Any) -> str:
        return (await self.ask(**fields))[0]


Start = Callable[..., Awaitable[Side]]


@pytest.fixture
async def start(make_gateway: MakeGateway) -> Start:
    async def made(*said: run_event_pb2.RunEvent, policy: str = "enabled: true") -> Side:
        orchestrator, documents = FakeOrchestrator(said or events("One.", "Two.")), Documents()

        def add(server: grpc.aio.Server) -> None:
            run_grpc.add_OrchestratorServiceServicer_to_server(orchestrator, server)
            agent_service_pb2_grpc.add_AgentServiceServicer_to_server(Agents(), server)

        gateway = await make_gateway(orchestrator, retrieval=documents, behind=App(add, []))
        cache = pb_grpc.CacheServiceStub(gateway.channel)
        await cache.PutCachePolicy(pb.PutCachePolicyRequest(spec=policy, agent="rag"), metadata=BEARER)
        return Side(gateway, documents)

    return made


async def test_an_equal_question_runs_nothing(start: Start) -> None:
    side = await start()
    status, first = await side.ask()
    status_again, again = await side.ask()
    assert (status, status_again) == ("miss", "hit")
    one, two = json.loads(first), json.loads(again)
    assert two["choices"] == one["choices"]
    assert two["usage"] == one["usage"]
    assert one["headworks"]["cache"] == {"status": "miss"}
    assert two["headworks"]["cache"] == {"status": "hit", "age_seconds": 0}
    assert two["headworks"]["run_id"].startswith("hit_")
    assert len(side.orchestrator.runs) == 1


async def test_a_run_is_given_again_over_grpc_and_streamed(start: Start) -> None:
    side = await start()
    stub = run_grpc.OrchestratorServiceStub(side.gateway.channel)
    question = run_pb.RunRequest(
        model="rag", messages=[run_pb2.Message(role=run_pb2.Message.ROLE_USER, content="why?")]
    )

    async def run() -> tuple[Any, list[run_event_pb2.RunEvent]]:
        call = stub.Run(question, metadata=BEARER)
        got = [event async for response in call for event in response.events]
        return dict(await call.initial_metadata())["x-headworks-cache"], got

    (miss, first), (hit, again) = await run(), await run()
    assert (miss, hit) == ("miss", "hit")
    assert [event.WhichOneof("event") for event in again] == [event.WhichOneof("event") for event in first]
    assert [event.text.text for event in again] == [event.text.text for event in first]
    assert {event.run_id[:4] for event in again} == {"hit_"}
    assert [event.sequence for event in again] == list(range(1, len(again) + 1))
    assert await side.status(stream=True) == "hit"


async def test_an_answer_goes_with_a_document_that_it_rests_on(start: Start) -> None:
    side = await start()
    await side.ask()
    side.documents.versions["d1"] = 2
    assert [await side.status(), await side.status()] == ["miss", "hit"]
    del side.documents.versions["d0"]  # erased, or no longer for this caller's eyes
    assert [await side.status(), await side.status()] == ["miss", "miss"]


async def test_another_index_is_another_state() -> None:
    call = Call("Run", identity=Identity("acme", "ann"))
    documents = Documents()
    async with channel_for(documents) as channel:
        versions = Versions(channel, seconds=0)
        before = await versions.state(call, ["default"])
        documents.embedder = "e5"
        assert await versions.state(call, ["default"]) != before
        documents.embedder = "minilm"
        assert await versions.state(call, ["default"]) == before
        documents.versions["d2"] = 1
        assert await versions.state(call, ["default"]) != before


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "rag@2"}, {"metadata": {"session_id": "s"}}, {"messages": [{"role": "user", "content": "why not?"}]},
        {"max_tokens": 9}, {"metadata": {"collection": "other"}},
    ],
)  # fmt: skip
async def test_what_may_change_an_answer_tells_questions_apart(start: Start, fields: dict[str, Any]) -> None:
    side = await start()
    await side.ask()
    assert await side.status(**fields) == ("bypass" if "session_id" in str(fields) else "miss")


def _changed(**fields: Any) -> list[run_event_pb2.RunEvent]:
    *said, usage, finished = events("One.")
    made = run_event_pb2.RunEvent(**fields)
    return [*said, made, usage, finished]


@pytest.mark.parametrize(
    "said",
    [
        [*events("One.")[:-1], tool_call("pay", "{}"), events("One.")[-1]],
        events("One.", answered=False),
        _changed(verdict=run_event_pb2.VerdictGiven(grader="grounded", passed=False)),
        _changed(passages=run_event_pb2.PassagesRetrieved(degraded=True)),
    ],
    ids=["calls a tool", "no answer", "badly grounded", "degraded"],
)
async def test_what_is_no_good_answer_is_not_kept(start: Start, said: list[run_event_pb2.RunEvent]) -> None:
    side = await start(*said)
    assert [await side.status(), await side.status()] == ["miss", "miss"]
