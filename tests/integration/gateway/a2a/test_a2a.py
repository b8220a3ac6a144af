"""/a2a, spoken to by the protocol's own client over HTTP."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import httpx
import pytest
from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory
from a2a.types import a2a_pb2 as a2a
from a2a.utils.errors import A2AError
from headworks.orchestrator.v1 import agent_pb2, agent_service_pb2_grpc, run_pb2
from headworks.orchestrator.v1 import agent_service_pb2 as agents
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc

from services.runtime.errors import CollectionNotFound
from services.runtime.server import App
from tests.fakes.orchestrator import RUN_ID, FakeOrchestrator, NoSuchAgent, events
from tests.integration.gateway.conftest import HEADERS, Gateway, MakeGateway

Base: Any = agent_service_pb2_grpc.AgentServiceServicer


class Agents(Base):  # type: ignore[misc]
    """`rag` is offered, `chat` is not."""

    def __init__(self, *offered: str) -> None:
        self._agents = [
            agent_pb2.Agent(name=name, version=3, description="Answers.", model="m", models=["m"], a2a=name in offered,
                            spec=f"name: {name}\n")
            for name in ("chat", "rag", "late")
        ]  # fmt: skip

    async def GetAgent(self, request: Any, context: Any) -> agents.GetAgentResponse:  # noqa: N802 (as in the proto)
        for agent in self._agents:
            if agent.name == request.name:
                return agents.GetAgentResponse(agent=agent)
        raise NoSuchAgent(f"there is no agent {request.name!r}")

    async def ListAgents(self, request: Any, context: Any) -> agents.ListAgentsResponse:  # noqa: N802
        return agents.ListAgentsResponse(agents=self._agents)


def behind(orchestrator: FakeOrchestrator, *offered: str) -> App:
    def add(server: grpc.aio.Server) -> None:
        pb_grpc.add_OrchestratorServiceServicer_to_server(orchestrator, server)
        agent_service_pb2_grpc.add_AgentServiceServicer_to_server(Agents(*(offered or ("rag",))), server)

    return App(add, [])


@asynccontextmanager
async def client_of(gateway: Gateway, streaming: bool) -> AsyncIterator[Client]:
    async with httpx.AsyncClient(headers=HEADERS, timeout=20, trust_env=False) as http:
        card = await A2ACardResolver(http, f"{gateway.http.base_url}/a2a/rag").get_agent_card()
        client = ClientFactory(ClientConfig(httpx_client=http, streaming=streaming)).create(card)
        yield client


def message(text: str = "why?", **fields: Any) -> a2a.SendMessageRequest:
    parts = [a2a.Part(text=text)]
    said = a2a.Message(message_id=uuid.uuid4().hex, role=a2a.ROLE_USER, parts=parts, **fields)
    return a2a.SendMessageRequest(message=said)


async def told(client: Client, request: a2a.SendMessageRequest) -> list[a2a.StreamResponse]:
    return [one async for one in client.send_message(request)]


async def test_a_message_is_answered_by_a_task(make_gateway: MakeGateway) -> None:
    orchestrator = FakeOrchestrator(events("Cats sleep.", "Dogs bark."))
    gateway = await make_gateway(behind=behind(orchestrator))
    async with client_of(gateway, streaming=False) as client:
        [response] = await told(client, message(context_id="c1"))
    task = response.task
    assert (task.id, task.context_id) == (RUN_ID, "c1")
    assert task.status.state == a2a.TASK_STATE_COMPLETED
    [artifact] = task.artifacts
    assert artifact.parts[0].text == "Cats sleep. Dogs bark."
    assert "Dogs bark." in str(artifact.parts[1].data)
    (run,) = orchestrator.runs
    assert (run.model, run.session_id, run.messages[0].content) == ("rag", "c1", "why?")


async def test_a_streamed_answer(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(behind=behind(FakeOrchestrator(events("Cats sleep.", "Dogs bark."))))
    async with client_of(gateway, streaming=True) as client:
        responses = await told(client, message())
    kinds = [response.WhichOneof("payload") for response in responses]
    assert kinds == ["task", "artifact_update", "artifact_update", "artifact_update", "status_update"]
    texts = [part.text for one in responses[1:3] for part in one.artifact_update.artifact.parts]
    assert texts == ["Cats sleep.", " Dogs bark."]
    assert [one.artifact_update.append for one in responses[1:4]] == [False, True, True]
    assert responses[-1].status_update.status.state == a2a.TASK_STATE_COMPLETED
    assert responses[0].task.context_id, "a context is made where there is none"


@pytest.mark.parametrize("method", ["message/send", "message/stream"])
async def test_clients_of_the_version_before(make_gateway: MakeGateway, method: str) -> None:
    gateway = await make_gateway(behind=behind(FakeOrchestrator(events("Cats sleep."))))
    said = {"kind": "message", "messageId": "m1", "role": "user", "parts": [{"kind": "text", "text": "why?"}]}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"message": said}}
    response = await gateway.http.post("/a2a/rag", json=body, headers=HEADERS)
    assert response.status_code == 200
    assert "Cats sleep." in response.text
    assert "completed" in response.text


async def test_cards(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(behind=behind(FakeOrchestrator()))
    paths = ["/a2a/rag/.well-known/agent-card.json", "/.well-known/agent-card.json"]
    cards = [(await gateway.http.get(path, headers=HEADERS)).json() for path in paths]
    assert cards[0] == cards[1], "there is one agent that is offered"
    assert cards[0]["name"] == "rag"
    assert cards[0]["supportedInterfaces"][0]["url"] == f"{gateway.http.base_url}/a2a/rag"
    for path, status in {
        "/a2a/chat/.well-known/agent-card.json": 404,
        "/a2a/none/.well-known/agent-card.json": 404,
    }.items():
        assert (await gateway.http.get(path, headers=HEADERS)).status_code == status
    assert (await gateway.http.get(paths[0])).status_code == 401


async def test_several_agents_have_no_card_together(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(behind=behind(FakeOrchestrator(), "rag", "chat"))
    response = await gateway.http.get("/.well-known/agent-card.json", headers=HEADERS)
    assert response.status_code == 404
    assert "/a2a/chat/.well-known/agent-card.json, /a2a/rag/.well-known/agent-card.json" in response.text


class Runs(FakeOrchestrator):
    """Has one run, of `model`, which is over."""

    model = "rag"

    async def GetRun(self, request: Any, context: Any) -> pb.GetRunResponse:  # noqa: N802
        state = run_pb2.Run.STATE_SUCCEEDED
        return pb.GetRunResponse(run=run_pb2.Run(id=request.run_id, model=self.model, state=state, session_id="c1"))


async def test_a_task_is_got_followed_and_cancelled(make_gateway: MakeGateway) -> None:
    orchestrator = Runs(events("Cats sleep."))
    gateway = await make_gateway(behind=behind(orchestrator))
    async with client_of(gateway, streaming=True) as client:
        task = await client.get_task(a2a.GetTaskRequest(id=RUN_ID))
        followed = [one async for one in client.subscribe(a2a.SubscribeToTaskRequest(id=RUN_ID))]
        await client.cancel_task(a2a.CancelTaskRequest(id=RUN_ID))
        orchestrator.model = "chat"
        with pytest.raises(A2AError):
            await client.get_task(a2a.GetTaskRequest(id=RUN_ID))
    assert (task.id, task.context_id, task.status.state) == (RUN_ID, "c1", a2a.TASK_STATE_COMPLETED)
    assert task.artifacts[0].parts[0].text == "Cats sleep."
    assert followed[-1].status_update.status.state == a2a.TASK_STATE_COMPLETED
    assert orchestrator.cancelled == [RUN_ID]


async def test_who_leaves_cancels_the_run(make_gateway: MakeGateway) -> None:
    orchestrator = FakeOrchestrator(events("Cats sleep."), hold=2)
    gateway = await make_gateway(behind=behind(orchestrator))
    async with client_of(gateway, streaming=True) as client:
        asking = asyncio.create_task(told(client, message()))
        await orchestrator.held.wait()
        asking.cancel()
        async with asyncio.timeout(20):
            await orchestrator.left.wait()


async def test_errors_are_the_protocols(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(behind=behind(FakeOrchestrator(error=CollectionNotFound("x"), says=events("a")[:1])))
    async with client_of(gateway, streaming=False) as client:
        with pytest.raises(A2AError, match="there is no collection 'x'"):
            await told(client, message())
        with pytest.raises(A2AError, match="no text"):
            await told(client, message(" "))
        picture = a2a.Message(message_id="m", role=a2a.ROLE_USER, parts=[a2a.Part(raw=b"x", media_type="image/png")])
        with pytest.raises(A2AError, match="only text and data are read"):
            await told(client, a2a.SendMessageRequest(message=picture))
        with pytest.raises(A2AError, match="takes no further messages"):
            await told(client, message(task_id=RUN_ID))


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/a2a/chat", {"jsonrpc": "2.0", "id": 1, "method": "SendMessage"}, 404, "agent_not_offered"),
        ("/a2a/rag", b"{", 400, "not valid JSON"),
        ("/a2a/rag", {"jsonrpc": "2.0", "id": 1, "method": "Nothing"}, 200, "-32601"),
        ("/a2a/rag", {"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {}}, 200, "error"),
    ],
)
async def test_odd_requests(make_gateway: MakeGateway, path: str, body: Any, status: int, said: str) -> None:
    gateway = await make_gateway(behind=behind(FakeOrchestrator()))
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = {"content-type": "application/json", "a2a-version": "1.0"}
    response = await gateway.http.post(path, content=sent, headers=HEADERS | kind)
    assert response.status_code == status, response.text
    assert said in response.text


async def test_a_card_says_where_the_operator_has_the_mesh(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(behind=behind(FakeOrchestrator()), public_url="https://mesh.example.com/")
    named = HEADERS | {"host": "evil.example", "x-forwarded-proto": "gopher", "x-forwarded-host": "evil.example"}
    for path in ("/a2a/rag/.well-known/agent-card.json", "/.well-known/agent-card.json"):
        card = (await gateway.http.get(path, headers=named)).json()
        assert {one["url"] for one in card["supportedInterfaces"]} == {"https://mesh.example.com/a2a/rag"}
        assert "evil.example" not in str(card)
