"""The other replicas: a run that one of them has in memory is reached by the name in the run's id."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc

from services.orchestrator.runs.run import replica_of
from services.runtime import clients
from services.runtime.call import REPLICA_KEY, Call, Outgoing, current, outgoing


class Peers:
    """Calls to the replica that owns a run. xDS routes them by the REPLICA_KEY header."""

    def __init__(self, channel: grpc.aio.Channel, replica: str) -> None:
        self._stub = pb_grpc.OrchestratorServiceStub(channel)
        self._replica = replica

    def owner(self, run_id: str) -> str | None:
        """The other replica that owns the run; None if it is this one, or if the call was passed on to us already."""
        owner = replica_of(run_id)
        passed_on = REPLICA_KEY in current().metadata
        return owner if owner and owner != self._replica and not passed_on else None

    async def attach(self, owner: str, request: pb.AttachRequest) -> AsyncGenerator[pb.AttachResponse, None]:
        """Closing the iterator cancels the call."""
        call = self._stub.Attach(request, **_to(owner, current()))
        async with aclosing(clients.stream(call)) as responses:
            async for response in responses:
                yield response

    async def cancel(self, owner: str, request: pb.CancelRequest) -> pb.CancelResponse:
        return await clients.unary(self._stub.Cancel(request, **_to(owner, current())))

    async def get_run(self, owner: str, request: pb.GetRunRequest) -> pb.GetRunResponse:
        return await clients.unary(self._stub.GetRun(request, **_to(owner, current())))


def _to(owner: str, call: Call) -> Outgoing:
    options = outgoing(call.remaining, call)
    options["metadata"] = (*options["metadata"], (REPLICA_KEY, owner))
    return options
