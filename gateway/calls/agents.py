"""What a tenant's names of agents and models stand for, as the orchestrator has them, cached."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import yaml
from headworks.orchestrator.v1 import agent_service_pb2, agent_service_pb2_grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc

from gateway.access.permissions import DEFAULT_MODEL
from gateway.calls.cached_answers import ASK_SECONDS, NONE_SUCH, CachedAnswers
from gateway.calls.prompts import Prompts
from services.llm.models import DEFAULT
from services.llm.price import FREE, Price
from services.llm.prompts.prompt import reference
from services.runtime import clients
from services.runtime.call import Call, outgoing
from services.runtime.needs import DEFAULT_COLLECTION
from services.runtime.numerals import numeral

VERSION_DIGITS = 9
SEARCH = "search"
"""The tool by which an agent searches."""


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """What a name stands for, which is asked as `name` or "name@version". `version` is an agent's, 0 for a model and
    where it is not known. `models`: those of the catalogue that it asks, the one that answers first; none where there
    is nothing of that name."""

    name: str
    asked: str
    version: int = 0
    models: tuple[str, ...] = ()
    price: Price = FREE


@dataclass(frozen=True, slots=True)
class AgentReads:
    """What an agent reads: `collections`, unless the caller names one and may."""

    collections: tuple[str, ...] = ()
    caller_may_choose: bool = False

    def of(self, chosen: str) -> tuple[str, ...]:
        """The collections that are read where the caller names `chosen`, empty for none."""
        return (chosen,) if chosen and self.collections and self.caller_may_choose else self.collections


@dataclass(frozen=True, slots=True)
class _Agent:
    """A version of an agent. `prompt`: the one that its instructions are; empty where its spec has them."""

    version: int
    models: tuple[str, ...]
    instructions: str
    prompt: str
    reads: AgentReads


@dataclass(frozen=True, slots=True)
class _Listing:
    """What a tenant may ask by name, and the model that "default" stands for."""

    models: Mapping[str, pb.Model]
    default: str

    def price(self, name: str) -> Price:
        """FREE where there is no model or agent of that name: a run reports what it costs."""
        model = self.models.get(name)
        return FREE if model is None else Price(model.input_price_nanos, model.output_price_nanos)


class Agents:
    """`seconds`: how long an answer is cached. All questions are asked as the call's own caller."""

    def __init__(self, orchestrator: grpc.aio.Channel, seconds: float, prompts: Prompts) -> None:
        self._prompts = prompts
        self._runs = pb_grpc.OrchestratorServiceStub(orchestrator)
        self._agents = agent_service_pb2_grpc.AgentServiceStub(orchestrator)
        self._listings: CachedAnswers[str, _Listing] = CachedAnswers(seconds)
        self._specs: CachedAnswers[tuple[str, str], _Agent] = CachedAnswers(seconds)

    async def resolve(self, call: Call, model: str) -> ResolvedModel:
        """What is meant by the name that a caller gives, "name@version" included: everything is decided by what it
        stands for. Raises AioRpcError where that cannot be had."""
        listing = await self._listings.get(call.tenant, lambda: self._list(call))
        asked = (listing.default or model) if model == DEFAULT else model or DEFAULT_MODEL
        name, _, version = asked.partition("@")
        listed = listing.models.get(name)
        if listed is not None and not version:
            models = tuple(listed.models) or (name,)
            return ResolvedModel(name, asked, listed.agent_version, models, listing.price(name))
        agent = await self._agent(call, asked)
        if agent is None:
            return ResolvedModel(name, asked)
        return ResolvedModel(name, asked, agent.version, agent.models, listing.price(agent.models[0]))

    async def instructions(self, call: Call, agent: str) -> str:
        """An agent's instructions, "name" or "name@version"; empty for a model. Raises AioRpcError where they cannot be
        had: what is to be guarded is not known then."""
        found = await self._agent(call, agent)
        if found is not None and found.prompt:
            return (await self._prompts.read(call, *reference(found.prompt))).spec.text
        return found.instructions if found is not None else ""

    async def prompt(self, call: Call, model: ResolvedModel) -> str:
        """The version of the prompt that an agent's instructions are now; empty where they are in its spec. Raises
        AioRpcError, and what reading a prompt does."""
        found = await self._agent(call, model.asked) if model.version else None
        return (await self._prompts.read(call, *reference(found.prompt))).label if found and found.prompt else ""

    async def reads(self, call: Call, model: ResolvedModel) -> AgentReads | None:
        """What an agent reads, a model nothing; None for one that is not there. Raises AioRpcError."""
        if not model.version:
            return AgentReads() if model.models else None
        found = await self._agent(call, model.asked)
        return found.reads if found is not None else None

    def changed(self, tenant: str) -> None:
        """Drop what is cached of a tenant whose agents have changed."""
        self._listings.expire(lambda key: key == tenant)
        self._specs.expire(lambda key: key[0] == tenant)

    async def _list(self, call: Call) -> _Listing:
        asked = self._runs.ListModels(pb.ListModelsRequest(), **outgoing(ASK_SECONDS, call))
        found = await clients.unary(asked)
        return _Listing({model.id: model for model in found.models}, found.default_model)

    async def _agent(self, call: Call, agent: str) -> _Agent | None:
        """None where there is none of that name, which is asked anew each time: there may be one at any moment."""
        try:
            return await self._specs.get((call.tenant, agent), lambda: self._load(call, agent))
        except grpc.aio.AioRpcError as error:
            if error.code() in NONE_SUCH:
                return None
            raise

    async def _load(self, call: Call, agent: str) -> _Agent:
        name, _, version = agent.partition("@")
        exact = numeral(version, VERSION_DIGITS) or 0
        request = agent_service_pb2.GetAgentRequest(name=name, version=exact)
        found = (await clients.unary(self._agents.GetAgent(request, **outgoing(ASK_SECONDS, call)))).agent
        spec = yaml.safe_load(found.spec)
        models = tuple(found.models) or (found.model,)
        told = spec.get("instructions") or ""
        named = str(told["prompt"]) if isinstance(told, dict) else ""
        return _Agent(found.version, models, "" if named else str(told), named, _reads(spec))


def _reads(spec: Mapping[str, Any]) -> AgentReads:
    """As the orchestrator has the defaults of a spec."""
    retrieval = spec.get("retrieval") or {}
    tools = [each.get("tool") if isinstance(each, dict) else each for each in spec.get("tools") or ()]
    if retrieval.get("mode", "never") == "never" and SEARCH not in tools:
        return AgentReads()
    collections = tuple(map(str, retrieval.get("collections") or (DEFAULT_COLLECTION,)))
    return AgentReads(collections, bool(retrieval.get("caller_may_choose", True)))
