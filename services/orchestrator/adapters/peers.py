"""The other replicas: a run that one of them has under way is reached by the name of the replica in its record."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc

from services.orchestrator.runs.run import RunInfo
from services.runtime import clients
from services.runtime.call import REPLICA_KEY, Call, Outgoing, current, outgoing, renewed


class Peers:
    """Calls to the replica that has a run. xDS routes them by the REPLICA_KEY header."""

    def __init__(self, channel: grpc.aio.Channel, replica: str) -> None:
        self._stub = pb_grpc.OrchestratorServiceStub(channel)
        self._replica = replica

    def owner(self, info: RunInfo) -> str | None:
        """The other replica that has the run under way; None if it is over or this one's, or if the call was passed on
        to us already."""
        passed_on = REPLICA_KEY in current().metadata
        if passed_on or info.finish_reason is not None or info.replica == self._replica:
            return None
        return info.replica

    async def attach(self, owner: str, request: pb.AttachRequest) -> AsyncGenerator[pb.AttachResponse, None]:
        """Closing the iterator cancels the call. Raises IdentityRefused, IdentityUnavailable."""
        await renewed()
        call = self._stub.Attach(request, **_to(owner, current()))
        async with aclosing(clients.stream(call)) as responses:
            async for response in responses:
                yield response

    async def cancel(self, owner: str, request: pb.CancelRequest) -> pb.CancelResponse:
        return await clients.unary(self._stub.Cancel(request, **_to(owner, current())))

    async def decide(self, owner: str, request: pb.DecideRequest) -> pb.DecideResponse:
        return await clients.unary(self._stub.Decide(request, **_to(owner, current())))

    async def get_run(self, owner: str, request: pb.GetRunRequest) -> pb.GetRunResponse:
        return await clients.unary(self._stub.GetRun(request, **_to(owner, current())))


def gone(error: grpc.aio.AioRpcError) -> bool:
    """The replica did not answer."""
    return error.code() is grpc.StatusCode.UNAVAILABLE


def _to(owner: str, call: Call) -> Outgoing:
    options = outgoing(call.remaining, call)
    options["metadata"] = (*options["metadata"], (REPLICA_KEY, owner))
    return options
