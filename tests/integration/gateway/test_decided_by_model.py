"""Whatever name a caller asks by, what is decided is decided by the model that is asked."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from headworks.orchestrator.v1 import agent_pb2, agent_service_pb2, agent_service_pb2_grpc, run_event_pb2
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc

from services.runtime.errors import ModelNotFound
from services.runtime.server import App
from tests.fakes import openai_upstream as fake
from tests.fakes.http_calls import Refused
from tests.fakes.orchestrator import FakeOrchestrator, events
from tests.integration.gateway.conftest import BEARER, Gateway, MakeGateway, rows

PRICED = 1_000_000_000


AgentBase: Any = agent_service_pb2_grpc.AgentServiceServicer  # whose other methods nobody calls


class Agents(AgentBase):  # type: ignore[misc]
    """Versions of the agent `via`: the models that each asks."""

    def __init__(self, *versions: tuple[str, ...]) -> None:
        self.versions = list(versions)
        self.asked = 0

    async def GetAgent(  # noqa: N802
        self, request: agent_service_pb2.GetAgentRequest, context: Any
    ) -> agent_service_pb2.GetAgentResponse:
        self.asked += 1
        if request.name != "via":
            raise ModelNotFound(request.name)
        version = request.version or len(self.versions)
        models = self.versions[version - 1]
        agent = agent_pb2.Agent(name="via", version=version, spec="name: via", model=models[0], models=models)
        return agent_service_pb2.GetAgentResponse(agent=agent)

    async def ApplyAgent(  # noqa: N802
        self, request: agent_service_pb2.ApplyAgentRequest, context: Any
    ) -> agent_service_pb2.ApplyAgentResponse:
        self.versions.append((request.spec,))
        return agent_service_pb2.ApplyAgentResponse(changed=True)


class Orchestrator(FakeOrchestrator):
    """Serves the models `norun`, the default, and `judge`; and the latest of the agents."""

    def __init__(self, agents: Agents) -> None:
        super().__init__(events("Said."))
        self.agents = agents
        self.default_model = "norun"

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:  # noqa: N802
        models = [pb.Model(id=name, models=[name], input_price_nanos=PRICED) for name in ("norun", "judge")]
        via = pb.Model(id="via", agent_version=len(self.agents.versions), models=self.agents.versions[-1])
        self.models = [*models, via]
        return await super().ListModels(request, context)


async def behind(make_gateway: MakeGateway, agents: Agents, **settings: Any) -> tuple[Gateway, Orchestrator]:
    orchestrator = Orchestrator(agents)

    def add(server: Any) -> None:
        pb_grpc.add_OrchestratorServiceServicer_to_server(orchestrator, server)
        agent_service_pb2_grpc.add_AgentServiceServicer_to_server(agents, server)

    return await make_gateway(behind=App(add, []), **settings), orchestrator


async def put(gateway: Gateway, verb: str, path: str, **fields: Any) -> None:
    await gateway.ask(verb, f"/v1/admin/{path}", json.dumps(fields).encode()).whole()


async def refused(gateway: Gateway, model: str) -> str:
    """The code of the error, or nothing where it is answered."""
    try:
        await gateway.chat(model=model).whole()
    except Refused as error:
        return str(error.error["code"])
    return ""


ASKED = ["norun", "default", "via", "via@1"]


@pytest.mark.parametrize("model", ASKED)
async def test_a_budget_of_a_model(make_gateway: MakeGateway, model: str) -> None:
    gateway, orchestrator = await behind(make_gateway, Agents(("norun",)))
    budget = {"scope": "SCOPE_AGENT", "scope_id": "norun", "period": "PERIOD_DAY", "unit": "UNIT_TOKENS", "amount": 1}
    await put(gateway, "POST", "budgets", **budget)
    assert (await refused(gateway, model), orchestrator.runs) == ("budget_exceeded", [])
    assert await refused(gateway, "rag") == ""


@pytest.mark.parametrize("model", ASKED)
async def test_a_rate_limit_of_a_model(make_gateway: MakeGateway, model: str) -> None:
    """However it is asked, it is one count."""
    gateway, _ = await behind(make_gateway, Agents(("norun",)))
    await put(gateway, "POST", "limits", model="norun", requests_per_minute=1)
    assert [await refused(gateway, "norun"), await refused(gateway, model)] == ["", "rate_limited"]


@pytest.mark.parametrize("model", ASKED)
async def test_a_guard_policy_of_a_model(make_gateway: MakeGateway, model: str) -> None:
    gateway, orchestrator = await behind(make_gateway, Agents(("norun",)))
    spec = "guards: [{guard: terms, stage: input, action: block, terms: [why]}]"
    await put(gateway, "PUT", "guards", agent="norun", spec=spec)
    assert (await refused(gateway, model), orchestrator.runs) == ("content_filter", [])


async def test_an_agents_own_policy_stands_before_its_models(make_gateway: MakeGateway) -> None:
    gateway, _ = await behind(make_gateway, Agents(("norun", "judge")))
    spec = "guards: [{guard: terms, stage: input, action: block, terms: [why]}]"
    await put(gateway, "PUT", "guards", agent="judge", spec=spec)
    assert await refused(gateway, "via") == "content_filter"
    await put(gateway, "PUT", "guards", agent="norun", spec="guards: []")
    assert await refused(gateway, "via") == ""
    await put(gateway, "PUT", "guards", agent="via", spec=spec)
    assert await refused(gateway, "via") == "content_filter"


async def test_usage_names_agent_and_model(make_gateway: MakeGateway, records_url: str) -> None:
    gateway, orchestrator = await behind(make_gateway, Agents(("norun", "judge")), records_url=records_url)
    for model in ("via", "default"):
        assert await refused(gateway, model) == ""
    booked = await rows(records_url, "SELECT agent, model FROM usage ORDER BY agent")
    assert booked == [("norun", "norun"), ("via", "norun")]
    assert [request.model for request in orchestrator.runs] == ["via", "norun"]


@pytest.mark.parametrize(
    ("scope", "model", "denied"),
    [
        ("models.call:default", "default", True),
        ("models.call:norun", "default", False),
        ("models.call:norun", "norun", False),
        ("models.call:via", "via", False),
    ],
)
async def test_the_right_to_call_is_that_of_the_model(
    make_gateway: MakeGateway, scope: str, model: str, denied: bool
) -> None:
    gateway, orchestrator = await behind(make_gateway, Agents(("norun",)))
    account = {"kind": "KIND_SERVICE_ACCOUNT", "name": "bot"}
    made = json.loads((await gateway.ask("POST", "/v1/admin/principals", json.dumps(account).encode()).whole()).data)
    fields = {"principal": made["principal"]["id"], "name": "k", "roles": ["user"], "scopes": [scope]}
    made = json.loads((await gateway.ask("POST", "/v1/admin/keys", json.dumps(fields).encode()).whole()).data)
    asked = gateway.ask(
        "POST", "/v1/chat/completions",
        json.dumps({"model": model, "messages": [{"role": "user", "content": "why?"}]}).encode(),
        authorization=f"Bearer {made['secret']}",
    )  # fmt: skip
    if denied:
        with pytest.raises(Refused) as caught:
            await asked.whole()
        assert (caught.value.status, orchestrator.runs) == (403, [])
        assert "models.call:norun" in caught.value.error["message"]
    else:
        await asked.whole()


async def test_an_agent_that_changes_is_decided_anew(make_gateway: MakeGateway) -> None:
    """At once where it is changed through this gateway; and a version that another has stored does not run under what
    was decided for the one before."""
    agents = Agents(("judge",))
    gateway, orchestrator = await behind(make_gateway, agents)
    await put(gateway, "POST", "limits", model="norun", requests_per_minute=1)
    assert [await refused(gateway, "norun"), await refused(gateway, "via")] == ["", ""]
    stub = agent_service_pb2_grpc.AgentServiceStub(gateway.channel)
    await stub.ApplyAgent(agent_service_pb2.ApplyAgentRequest(spec="norun"), metadata=BEARER)
    assert await refused(gateway, "via") == "rate_limited"
    await stub.ApplyAgent(agent_service_pb2.ApplyAgentRequest(spec="judge"), metadata=BEARER)
    assert await refused(gateway, "via") == ""
    agents.versions.append(("norun",))
    started = run_event_pb2.RunStarted(model="via", agent_version=len(agents.versions))
    orchestrator.says = [run_event_pb2.RunEvent(started=started), *events("Said.")[1:]]
    assert await refused(gateway, "via") == "agent_changed"
    assert await refused(gateway, "via") == "rate_limited"


async def test_default_that_is_bare(make_gateway: MakeGateway, tmp_path: Path, records_url: str) -> None:
    whole = {"choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
    async with fake.FakeOpenAi(fake.raw(json.dumps(whole).encode(), kind="application/json")).serving() as upstream:
        entry = {"name": "norun", "generator": "openai", "bare": True, "base_url": upstream.url}
        (tmp_path / "models.yaml").write_text(yaml.safe_dump({"default": "norun", "models": [entry]}))
        gateway = await make_gateway(upstreams_file=tmp_path / "models.yaml", records_url=records_url)
        await put(gateway, "POST", "limits", model="norun", requests_per_minute=1)
        assert [await refused(gateway, "default"), await refused(gateway, "norun")] == ["", "rate_limited"]
        assert await rows(records_url, "SELECT model FROM usage") == [("norun",)]
        assert gateway.orchestrator.runs == []


@pytest.mark.parametrize("stream", [False, True])
async def test_every_open_call_is_one_of_those_at_once(make_gateway: MakeGateway, stream: bool) -> None:
    orchestrator = FakeOrchestrator(events("Said."), hold=1)
    gateway = await make_gateway(orchestrator)
    await put(gateway, "POST", "limits", streams=1)
    first = asyncio.create_task(gateway.chat(stream=stream).whole())
    await orchestrator.held.wait()
    assert await refused(gateway, "rag") == "rate_limited"
    orchestrator.resume.set()
    await first if not stream else await asyncio.wait([first])
    assert await refused(gateway, "rag") == ""
