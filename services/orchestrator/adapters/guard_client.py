"""The screener that asks the gateway's GuardService."""

from collections.abc import Sequence
from typing import Literal

import grpc
from headworks.gateway.v1 import guard_service_pb2 as pb
from headworks.gateway.v1 import guard_service_pb2_grpc as pb_grpc

from services.orchestrator.agents.loop.screener import Item, Reading, ScreeningVerdict
from services.runtime import clients, statuses
from services.runtime.call import READS_KEY, UNSCREENED, current, outgoing, renewed
from services.runtime.errors import Unavailable

WhenGone = Literal["auto", "closed", "open"]
_STAGES = {
    Reading.PASSAGE: pb.ScreenRequest.STAGE_PASSAGE,
    Reading.TOOL_RESULT: pb.ScreenRequest.STAGE_TOOL_RESULT,
}


class GuardClient:
    """Asks as the run's caller, for `timeout` seconds at most. `when_gone`: "auto" is closed for agents with tools."""

    def __init__(self, channel: grpc.aio.Channel, timeout: float, when_gone: WhenGone) -> None:
        self._stub = pb_grpc.GuardServiceStub(channel)
        self._timeout = timeout
        self._when_gone = when_gone

    def wanted(self) -> bool:
        """Whether to ask: unless the gateway has said that no policy screens what the run reads."""
        return current().metadata.get(READS_KEY) != UNSCREENED

    def closed(self, tools: bool) -> bool:
        """Whether nothing may be read where the guards are gone."""
        return tools if self._when_gone == "auto" else self._when_gone == "closed"

    async def screen(self, reading: Reading, agent: str, items: Sequence[Item]) -> list[ScreeningVerdict]:
        """Raises DomainError: whatever the gateway answered, or Unavailable."""
        sent = [pb.ScreenItem(id=item.id, text=item.text, source=item.source) for item in items]
        request = pb.ScreenRequest(stage=_STAGES[reading], agent=agent, items=sent)
        await renewed()
        try:
            response = await clients.unary(self._stub.Screen(request, **outgoing(self._timeout)))
        except grpc.aio.AioRpcError as error:
            raise statuses.from_rpc_error(error) from error
        if len(response.items) != len(items):
            raise Unavailable("the guards did not answer for each text")
        return [_screening(item, one) for item, one in zip(items, response.items, strict=True)]


def _screening(item: Item, given: pb.ScreenedItem) -> ScreeningVerdict:
    if given.verdict == pb.ScreenedItem.VERDICT_ALLOW:
        return ScreeningVerdict(item.text)
    cause = next((one for one in given.findings if one.mode == "enforce" and one.action != "flag"), pb.ScreenFinding())
    dropped = given.verdict != pb.ScreenedItem.VERDICT_REDACT
    return ScreeningVerdict(
        None if dropped else given.text, cause.guard, f"{cause.category}: {cause.reason}", cause.score
    )
