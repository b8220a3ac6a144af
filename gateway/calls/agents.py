"""What policy needs to know of a tenant's agents and models, as the orchestrator has them."""

import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

import grpc
import yaml
from headworks.orchestrator.v1 import agent_service_pb2, agent_service_pb2_grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc

from services.llm.price import FREE, Price
from services.runtime import clients
from services.runtime.call import Call, outgoing

log = logging.getLogger(__name__)

MOST = 1000
ASK_SECONDS = 5.0
Key = TypeVar("Key")
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """Answers that are kept for a while, MOST of them. Where the question fails the last answer stays."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: OrderedDict[Key, tuple[float, Value]] = OrderedDict()

    async def get(self, key: Key, ask: Callable[[], Awaitable[Value]], otherwise: Value) -> Value:
        until, value = self._kept.get(key, (0.0, otherwise))
        if until >= time.monotonic():
            return value
        try:
            value = await ask()
        except grpc.aio.AioRpcError as error:
            log.warning("the orchestrator was not heard; its last answer stays", extra={"code": error.code().name})
            return value
        self._kept[key] = time.monotonic() + self._seconds, value
        self._kept.move_to_end(key)
        if len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return value


class Agents:
    """`seconds`: how long an answer is kept. All questions are asked as the call's own caller."""

    def __init__(self, orchestrator: grpc.aio.Channel, seconds: float) -> None:
        self._runs = pb_grpc.OrchestratorServiceStub(orchestrator)
        self._agents = agent_service_pb2_grpc.AgentServiceStub(orchestrator)
        self._prices: Kept[str, Mapping[str, Price]] = Kept(seconds)
        self._instructions: Kept[tuple[str, str], str] = Kept(seconds)

    async def price(self, call: Call, model: str) -> Price:
        """Of a model or agent; FREE where there is none of that name, or none could be had yet: what a run costs it
        says itself, later."""
        prices = await self._prices.get(call.tenant, lambda: self._ask_prices(call), {})
        return prices.get(model, FREE)

    async def instructions(self, call: Call, agent: str) -> str:
        """What an agent is told to be; empty for a bare model."""
        return await self._instructions.get((call.tenant, agent), lambda: self._ask_instructions(call, agent), "")

    async def _ask_prices(self, call: Call) -> Mapping[str, Price]:
        asked = self._runs.ListModels(pb.ListModelsRequest(), **outgoing(ASK_SECONDS, call))
        return {
            model.id: Price(model.input_price_nanos, model.output_price_nanos)
            for model in (await clients.unary(asked)).models
        }

    async def _ask_instructions(self, call: Call, agent: str) -> str:
        request = agent_service_pb2.GetAgentRequest(name=agent)
        try:
            found = await clients.unary(self._agents.GetAgent(request, **outgoing(ASK_SECONDS, call)))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return ""
            raise
        spec = yaml.safe_load(found.agent.spec)
        return str(spec.get("instructions") or "")
