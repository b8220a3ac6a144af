"""The screener that asks the gateway's GuardService."""

import asyncio
import itertools
import logging
from collections.abc import Sequence
from typing import Literal

import grpc
from headworks.gateway.v1 import guard_service_pb2 as pb
from headworks.gateway.v1 import guard_service_pb2_grpc as pb_grpc

from services.orchestrator.agents.loop.screener import Item, Reading, ScreeningVerdict
from services.runtime import clients, statuses
from services.runtime.call import (
    CLOSED,
    ORDINAL_KEY,
    ORDINALS,
    READS_KEY,
    SCREENED,
    UNSCREENED,
    current,
    outgoing,
    renewed,
)
from services.runtime.errors import DomainError, ErrorKind, Unavailable

log = logging.getLogger(__name__)

WhenGone = Literal["auto", "closed", "open"]
PAUSE = 0.1
"""Seconds before the second attempt; before each further one so much more."""
ELSEWHERE = (ErrorKind.UNAVAILABLE, ErrorKind.DEADLINE_EXCEEDED, ErrorKind.RESOURCE_EXHAUSTED, ErrorKind.INTERNAL)
"""What may be another gateway's affair: one that hangs, is gone, has too much to do or a fault."""
_STAGES = {
    Reading.PASSAGE: pb.ScreenRequest.STAGE_PASSAGE,
    Reading.TOOL_RESULT: pb.ScreenRequest.STAGE_TOOL_RESULT,
}


class GuardClient:
    """Asks as the run's caller: `attempts` gateways, one after the other, for `timeout` seconds each. `when_gone`:
    "auto" is closed for agents with tools."""

    def __init__(self, channel: grpc.aio.Channel, timeout: float, when_gone: WhenGone, attempts: int = 1) -> None:
        self._stub = pb_grpc.GuardServiceStub(channel)
        self._timeout = timeout
        self._when_gone = when_gone
        self._attempts = attempts
        self._ordinals = itertools.count()

    def wanted(self) -> bool:
        """Whether to ask: unless the gateway has said that no policy screens what the run reads."""
        return current().metadata.get(READS_KEY) != UNSCREENED

    def closed(self, tools: bool) -> bool:
        """Whether nothing may be read where the guards are gone: where the run's policy says so, or the setting; of a
        run of which no gateway has said anything, as after its orchestrator's death, nothing is known to be open."""
        reads = current().metadata.get(READS_KEY)
        if reads == CLOSED or self._when_gone == "closed":
            return True
        return self._when_gone == "auto" and (tools or reads != SCREENED)

    async def screen(
        self, reading: Reading, agent: str, items: Sequence[Item], models: Sequence[str] = ()
    ) -> list[ScreeningVerdict]:
        """Raises DomainError: what a gateway refuses, or Unavailable where none answers."""
        sent = [pb.ScreenItem(id=item.id, text=item.text, source=item.source) for item in items]
        request = pb.ScreenRequest(stage=_STAGES[reading], agent=agent, items=sent, models=models)
        last = Unavailable("no gateway's guards answer")
        for attempt in range(self._attempts):
            if attempt:
                await asyncio.sleep(PAUSE * attempt)
            await renewed()
            try:
                return await self._ask(request, items)
            except DomainError as error:
                if error.kind not in ELSEWHERE or current().remaining <= 0:
                    raise
                why = {"attempt": attempt + 1, "of": self._attempts, "reason": error.reason, "error": error.message}
                log.warning("a gateway's guards do not answer", extra=why)
                last.__cause__ = error
        raise last

    async def _ask(self, request: pb.ScreenRequest, items: Sequence[Item]) -> list[ScreeningVerdict]:
        """Of the next gateway: the last one may hang."""
        options = outgoing(self._timeout)
        options["metadata"] += ((ORDINAL_KEY, str(next(self._ordinals) % ORDINALS)),)
        try:
            response = await clients.unary(self._stub.Screen(request, **options))
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
