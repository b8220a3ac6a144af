"""What models cost, as the orchestrator's catalogue has it."""

import logging
import time
from collections import OrderedDict
from collections.abc import Mapping

import grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc

from gateway.usage.prices import FREE, Price
from services.runtime import clients
from services.runtime.call import Call, outgoing

log = logging.getLogger(__name__)

MOST_TENANTS = 1000
ASK_SECONDS = 5.0


class Prices:
    """By tenant, for each has agents of its own. Asked of the orchestrator when they are needed, and kept a while."""

    def __init__(self, orchestrator: grpc.aio.Channel, seconds: float) -> None:
        """`seconds`: how long they are kept."""
        self._seconds = seconds
        self._stub = pb_grpc.OrchestratorServiceStub(orchestrator)
        self._kept: OrderedDict[str, tuple[float, Mapping[str, Price]]] = OrderedDict()

    async def of(self, call: Call, model: str) -> Price:
        """Of the model or agent, for the caller; FREE where there is none of that name, or none could be had yet: what
        a run costs it says itself, later."""
        until, prices = self._kept.get(call.tenant, (0.0, {}))
        if until < time.monotonic():
            try:
                prices = await self._ask(call)
            except grpc.aio.AioRpcError as error:
                log.warning("prices not read; the last ones stay", extra={"code": error.code().name})
                return prices.get(model, FREE)
            self._kept[call.tenant] = time.monotonic() + self._seconds, prices
            self._kept.move_to_end(call.tenant)
            if len(self._kept) > MOST_TENANTS:
                self._kept.popitem(last=False)
        return prices.get(model, FREE)

    async def _ask(self, call: Call) -> Mapping[str, Price]:
        asked = self._stub.ListModels(pb.ListModelsRequest(), **outgoing(ASK_SECONDS, call))
        return {
            model.id: Price(model.input_price_nanos, model.output_price_nanos)
            for model in (await clients.unary(asked)).models
        }
