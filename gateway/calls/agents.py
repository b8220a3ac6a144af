"""Prices and instructions of a tenant's agents and models, as the orchestrator has them, cached."""

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
from services.runtime.numerals import numeral

log = logging.getLogger(__name__)

MOST = 1000
ASK_SECONDS = 5.0
VERSION_DIGITS = 9
Key = TypeVar("Key")
Value = TypeVar("Value")


class _Cache(Generic[Key, Value]):
    """Values that are good for some `seconds`, MOST of them. Where a new one cannot be had the last one stays, or the
    default, where there is one."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._values: OrderedDict[Key, tuple[float, Value]] = OrderedDict()

    async def get(self, key: Key, load: Callable[[], Awaitable[Value]], default: Value | None = None) -> Value:
        """Raises AioRpcError where there is neither."""
        until, value = self._values.get(key, (0.0, default))
        if value is not None and until >= time.monotonic():
            return value
        try:
            value = await load()
        except grpc.aio.AioRpcError as error:
            if value is None:
                raise
            log.warning("the orchestrator did not answer; its last answer stays", extra={"code": error.code().name})
            return value
        self._values[key] = time.monotonic() + self._seconds, value
        self._values.move_to_end(key)
        if len(self._values) > MOST:
            self._values.popitem(last=False)
        return value


class Agents:
    """`seconds`: how long an answer is cached. All questions are asked as the call's own caller."""

    def __init__(self, orchestrator: grpc.aio.Channel, seconds: float) -> None:
        self._runs = pb_grpc.OrchestratorServiceStub(orchestrator)
        self._agents = agent_service_pb2_grpc.AgentServiceStub(orchestrator)
        self._prices: _Cache[str, Mapping[str, Price]] = _Cache(seconds)
        self._instructions: _Cache[tuple[str, str], str] = _Cache(seconds)

    async def price(self, call: Call, model: str) -> Price:
        """Of a model or agent; FREE where there is none of that name, or none could be had yet: a run reports what it
        costs."""
        prices = await self._prices.get(call.tenant, lambda: self._load_prices(call), {})
        return prices.get(model, FREE)

    async def instructions(self, call: Call, agent: str) -> str:
        """An agent's instructions, "name" or "name@version"; empty for a model. Raises AioRpcError where they cannot be
        had: what is to be guarded is not known then."""
        return await self._instructions.get((call.tenant, agent), lambda: self._load_instructions(call, agent))

    async def _load_prices(self, call: Call) -> Mapping[str, Price]:
        asked = self._runs.ListModels(pb.ListModelsRequest(), **outgoing(ASK_SECONDS, call))
        return {
            model.id: Price(model.input_price_nanos, model.output_price_nanos)
            for model in (await clients.unary(asked)).models
        }

    async def _load_instructions(self, call: Call, agent: str) -> str:
        name, _, version = agent.partition("@")
        exact = numeral(version, VERSION_DIGITS) or 0
        request = agent_service_pb2.GetAgentRequest(name=name, version=exact)
        try:
            found = await clients.unary(self._agents.GetAgent(request, **outgoing(ASK_SECONDS, call)))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return ""
            raise
        spec = yaml.safe_load(found.agent.spec)
        return str(spec.get("instructions") or "")
