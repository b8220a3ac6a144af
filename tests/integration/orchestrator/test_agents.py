"""AgentService over a channel."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from headworks.orchestrator.v1 import agent_service_pb2 as pb
from headworks.orchestrator.v1 import agent_service_pb2_grpc as pb_grpc

from services.orchestrator.agents.loop.work import Kit
from services.orchestrator.agents.registry import Registry
from services.orchestrator.agents.service import AgentService
from services.orchestrator.agents.specs.store import AgentStore
from services.orchestrator.servicers.agents import AgentServicer
from services.runtime import statuses
from services.runtime.channels import open_channel
from services.runtime.identity import Identity
from tests.fakes.agents import FakeRetriever
from tests.fakes.identity import Keys
from tests.fakes.models import ScriptedGenerator, catalogue, says, turns
from tests.fakes.serving import app_of, serving
from tests.fixtures.runs import opened_records

HELPER = "name: helper\nmodel: small\ninstructions: Help.\n"


@asynccontextmanager
async def service(keys: Keys, records_url: str) -> AsyncIterator[tuple[Any, Registry]]:
    """The service, asked as one that names its tenant."""
    models = catalogue(("small", ScriptedGenerator(turns(says("hi")))), default="small")
    async with opened_records(records_url) as records:
        store = AgentStore(records.database)
        registry = Registry(store, Kit(models, FakeRetriever()))
        servicer = AgentServicer(AgentService(store, registry))
        async with serving(app_of(servicer), verifier=keys.verifier) as address, open_channel(address) as channel:
            yield pb_grpc.AgentServiceStub(channel), registry


def as_tenant(keys: Keys, tenant: str = "acme", *scopes: str) -> dict[str, Any]:
    identity = Identity(tenant, "ann", frozenset(scopes or ("models.call:*", "collections.read:*")))
    return {"metadata": [("x-headworks-identity", keys.signer.token(identity))], "timeout": 10}


async def refused(call: Any) -> tuple[grpc.StatusCode, str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = statuses.from_rpc_error(caught.value)
    return caught.value.code(), error.reason, error.message


@pytest.mark.parametrize(
    "asks",
    ["model: small", "model: default", "", "model: nowhere", "model: small\ngraders: [{answers: {judge: other}}]"],
)
@pytest.mark.parametrize("dry_run", [False, True])
async def test_who_may_not_call_a_model_gives_it_to_no_agent(
    keys: Keys, records_url: str, asks: str, dry_run: bool
) -> None:
    async with service(keys, records_url) as (stub, _):
        spec = f"name: rag\ninstructions: Help.\n{asks}\n"
        missing = {"other": "other", "nowhere": "nowhere"}.get(asks.split()[-1].rstrip("}]") if asks else "", "small")
        allowed = ["models.call:rag", "models.call:default"] + ["models.call:small"] * (missing == "other")
        request = pb.ApplyAgentRequest(spec=spec, dry_run=dry_run)
        status, reason, message = await refused(stub.ApplyAgent(request, **as_tenant(keys, "acme", *allowed)))
        assert (status, reason) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")
        assert f"models.call:{missing}" in message
        may = await stub.ApplyAgent(request, **as_tenant(keys, "acme", *allowed, f"models.call:{missing}"))
        assert may.agent.models[0] == ("nowhere" if missing == "nowhere" else "small")


@pytest.mark.parametrize(
    "reads",
    [
        "retrieval: {mode: always, collections: [open, board]}", "retrieval: {mode: tool, collections: [board]}",
        "retrieval: {collections: [board]}\ntools: [search]",
        "retrieval: {collections: [board]}\ntools: [{tool: search}]",
    ],
)  # fmt: skip
async def test_who_may_not_read_a_collection_gives_it_to_no_agent(keys: Keys, records_url: str, reads: str) -> None:
    async with service(keys, records_url) as (stub, _):
        request = pb.ApplyAgentRequest(spec=f"name: helper\nmodel: small\n{reads}\n")
        allowed = ("models.call:*", "agents.write:*", "collections.read:open")
        status, _, message = await refused(stub.ApplyAgent(request, **as_tenant(keys, "acme", *allowed)))
        assert status == grpc.StatusCode.PERMISSION_DENIED
        assert "collections.read:board is missing" in message
        await stub.ApplyAgent(request, **as_tenant(keys, "acme", *allowed, "collections.read:board"))
        unread = pb.ApplyAgentRequest(spec="name: helper\nmodel: small\nretrieval: {collections: [board]}\n")
        await stub.ApplyAgent(unread, **as_tenant(keys, "acme", *allowed))


async def test_a_spec_is_stored_by_version(keys: Keys, records_url: str) -> None:
    async with service(keys, records_url) as (stub, registry):
        mine = as_tenant(keys)
        dry = await stub.ApplyAgent(pb.ApplyAgentRequest(spec=HELPER, dry_run=True), **mine)
        assert (dry.changed, dry.agent.version, dry.agent.model) == (True, 1, "small")
        assert (await refused(stub.GetAgent(pb.GetAgentRequest(name="helper"), **mine)))[1] == "AGENT_NOT_FOUND"
        first = await stub.ApplyAgent(pb.ApplyAgentRequest(spec=HELPER), **mine)
        again = await stub.ApplyAgent(pb.ApplyAgentRequest(spec=f"# the same\n{HELPER}"), **mine)
        other = await stub.ApplyAgent(pb.ApplyAgentRequest(spec=HELPER + "description: Helps.\n"), **mine)
        assert [(each.changed, each.agent.version) for each in (first, again, other)] == [
            (True, 1), (False, 1), (True, 2),
        ]  # fmt: skip
        assert first.agent.digest == again.agent.digest != other.agent.digest
        assert (await registry.find("acme", "helper")).version == 2
        assert (await registry.find("acme", "helper@1")).version == 1
        old = await stub.GetAgent(pb.GetAgentRequest(name="helper", version=1), **mine)
        assert (old.agent.spec, old.agent.shipped) == (HELPER, False)
        versions = await stub.ListAgents(pb.ListAgentsRequest(name="helper", page_size=1), **mine)
        assert [each.version for each in versions.agents] == [2]
        rest = await stub.ListAgents(pb.ListAgentsRequest(name="helper", page_token=versions.next_page_token), **mine)
        assert ([each.version for each in rest.agents], rest.next_page_token) == ([1], "")


async def test_tenants_see_their_own_agents_and_the_shipped_ones(keys: Keys, records_url: str) -> None:
    async with service(keys, records_url) as (stub, registry):
        await stub.ApplyAgent(pb.ApplyAgentRequest(spec=HELPER), **as_tenant(keys))
        mine = (await stub.ListAgents(pb.ListAgentsRequest(), **as_tenant(keys))).agents
        others = (await stub.ListAgents(pb.ListAgentsRequest(), **as_tenant(keys, "other"))).agents
        assert [each.name for each in mine] == ["analyst", "chat", "extractor", "helper", "rag"]
        assert [each.name for each in others] == ["analyst", "chat", "extractor", "rag"]
        assert [each.shipped for each in mine] == [True, True, True, False, True]
        assert "'extractive' is served" in others[-1].unavailable
        names = [each.id for each in await registry.models("acme")]
        assert names == ["analyst", "chat", "extractor", "helper", "small"]


async def test_a_page_after_the_other(keys: Keys, records_url: str) -> None:
    async with service(keys, records_url) as (stub, _):
        seen: list[str] = []
        token = ""
        while True:
            page = await stub.ListAgents(pb.ListAgentsRequest(page_size=3, page_token=token), **as_tenant(keys))
            seen += [each.name for each in page.agents]
            token = page.next_page_token
            if not token:
                break
        assert seen == ["analyst", "chat", "extractor", "rag"]


async def test_delete(keys: Keys, records_url: str) -> None:
    async with service(keys, records_url) as (stub, registry):
        mine = as_tenant(keys)
        for description in ("a", "b", "c"):
            spec = f"{HELPER}description: {description}\n"
            await stub.ApplyAgent(pb.ApplyAgentRequest(spec=spec), **mine)
        one = await stub.DeleteAgent(pb.DeleteAgentRequest(name="helper", version=3), **mine)
        assert (one.deleted, (await registry.find("acme", "helper")).version) == (1, 2)
        assert (await stub.DeleteAgent(pb.DeleteAgentRequest(name="helper"), **mine)).deleted == 2
        assert (await refused(stub.DeleteAgent(pb.DeleteAgentRequest(name="helper"), **mine)))[1] == "AGENT_NOT_FOUND"
        assert (await refused(stub.DeleteAgent(pb.DeleteAgentRequest(name="rag"), **mine)))[1] == "SHIPPED_AGENT"
        # A number that was given is not given again.
        assert (await stub.ApplyAgent(pb.ApplyAgentRequest(spec=HELPER), **mine)).agent.version == 4


async def test_an_own_agent_stands_before_a_shipped_one(keys: Keys, records_url: str) -> None:
    async with service(keys, records_url) as (stub, registry):
        spec = "name: chat\nmodel: small\ndescription: Mine.\n"
        await stub.ApplyAgent(pb.ApplyAgentRequest(spec=spec), **as_tenant(keys))
        assert (await registry.find("acme", "chat")).description == "Mine."
        assert (await registry.find("other", "chat")).description == "Talks, and remembers the session."


BAD: list[tuple[pb.ApplyAgentRequest | pb.GetAgentRequest | pb.ListAgentsRequest | pb.DeleteAgentRequest, str, str]] = [
    (pb.ApplyAgentRequest(spec="name: small\n"), "BAD_AGENT", "there is a model 'small'"),
    (pb.ApplyAgentRequest(spec="name: [\n"), "BAD_AGENT", "line 2"),
    (pb.ApplyAgentRequest(spec="name: x\nlimit: {}\n"), "BAD_AGENT", "line 2, limit: there is no such field"),
    (pb.GetAgentRequest(name="no"), "AGENT_NOT_FOUND", "'no'"),
    (pb.GetAgentRequest(name="Ümlaut"), "INVALID_ARGUMENT", "name"),
    (pb.GetAgentRequest(name="rag", version=2), "AGENT_NOT_FOUND", "version 2"),
    (pb.GetAgentRequest(name="rag", version=-1), "INVALID_ARGUMENT", "version"),
    (pb.ListAgentsRequest(page_size=1001), "INVALID_ARGUMENT", "page_size"),
    (pb.ListAgentsRequest(name="rag", page_token="x"), "INVALID_ARGUMENT", "page_token"),
    (pb.DeleteAgentRequest(name=""), "INVALID_ARGUMENT", "name"),
]


@pytest.mark.parametrize(("request_", "reason", "words"), BAD)
async def test_what_is_refused(keys: Keys, records_url: str, request_: Any, reason: str, words: str) -> None:
    async with service(keys, records_url) as (stub, _):
        method = getattr(stub, type(request_).__name__.removesuffix("Request"))
        _, got, message = await refused(method(request_, **as_tenant(keys)))
        assert got == reason
        assert words in message
