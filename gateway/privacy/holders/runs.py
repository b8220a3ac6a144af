"""Runs, sessions and agents, which the orchestrator keeps."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from headworks.orchestrator.v1 import data_service_pb2 as pb
from headworks.orchestrator.v1 import data_service_pb2_grpc as pb_grpc

from gateway.privacy.caller import OwnCalls
from gateway.privacy.holders.holder import Counts, Whose
from services.runtime import clients, statuses

PART_SECONDS = 60.0
ATTEMPTS = 5
PAUSE_SECONDS = 0.5
KINDS = ("runs", "sessions", "messages", "agents")
_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_EXPIRING = {"runs": pb.DATA_KIND_RUNS, "sessions": pb.DATA_KIND_SESSIONS}


class RunData:
    """An erasure that breaks off, or takes longer than a call may, is asked for again, ATTEMPTS times without progress
    at most."""

    name = "orchestrator"

    def __init__(self, channel: grpc.aio.Channel, calls: OwnCalls) -> None:
        self._stub = pb_grpc.DataServiceStub(channel)
        self._calls = calls

    async def export(self, whose: Whose) -> AsyncGenerator[dict[str, object], None]:
        request = pb.ExportDataRequest(subject=whose.subject)
        call = self._stub.ExportData(request, **self._calls.options(whose.tenant, PART_SECONDS))
        try:
            async with aclosing(clients.stream(call)) as items:
                async for item in items:
                    kind = str(item.WhichOneof("item"))
                    yield {"kind": kind, **MessageToDict(getattr(item, kind), preserving_proto_field_name=True)}
        except grpc.aio.AioRpcError as error:
            raise statuses.from_rpc_error(error) from error

    async def erase(self, whose: Whose) -> AsyncGenerator[Counts, None]:
        async with aclosing(self._erase(whose.tenant, pb.EraseDataRequest(subject=whose.subject))) as parts:
            async for counts in parts:
                yield counts

    async def expire(self, tenant: str, kind: str, before: float) -> int:
        """See Ages."""
        if kind not in _EXPIRING:
            return 0
        moment = Timestamp()
        moment.FromNanoseconds(int(before * 1e9))
        erased = 0
        async with aclosing(self._erase(tenant, pb.EraseDataRequest(before=moment, kinds=[_EXPIRING[kind]]))) as parts:
            async for counts in parts:
                erased = counts[kind]
        return erased

    async def _erase(self, tenant: str, request: pb.EraseDataRequest) -> AsyncGenerator[Counts, None]:
        total: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
        attempt = 0
        while True:
            told = pb.EraseDataResponse()
            try:
                call = self._stub.EraseData(request, **self._calls.options(tenant, PART_SECONDS))
                async with aclosing(clients.stream(call)) as parts:
                    async for told in parts:
                        yield total + _counts(told) if any(_counts(told).values()) else total
                return
            except grpc.aio.AioRpcError as error:
                progress = _counts(told)
                total.update(progress)
                attempt = 0 if any(progress.values()) else attempt + 1
                if error.code() not in _AGAIN or attempt >= ATTEMPTS:
                    raise statuses.from_rpc_error(error) from error
            await asyncio.sleep(PAUSE_SECONDS)


def _counts(told: pb.EraseDataResponse) -> Counter[str]:
    return Counter({kind: getattr(told, kind) for kind in KINDS})
