"""The exchange of refresh tokens, asked of the gateway's IdentityService."""

import time

import grpc
from headworks.gateway.v1 import identity_service_pb2 as pb
from headworks.gateway.v1 import identity_service_pb2_grpc as pb_grpc

from services.orchestrator.run_identity import ExchangedToken
from services.runtime import clients, statuses
from services.runtime.call import Call, new_request_id, outgoing
from services.runtime.errors import Unauthenticated, Unavailable
from services.runtime.identity import TokenVerifier

METHOD = "/headworks.gateway.v1.IdentityService/RefreshIdentity"


class IdentityClient:
    """Asks for `timeout` seconds at most, as the orchestrator itself. What comes back is checked."""

    def __init__(self, channel: grpc.aio.Channel, verifier: TokenVerifier, timeout: float) -> None:
        self._stub = pb_grpc.IdentityServiceStub(channel)
        self._verifier = verifier
        self._timeout = timeout

    async def exchange(self, run_id: str, refresh_token: str) -> ExchangedToken:
        """See TokenExchange. Raises DomainError: whatever the gateway answered, or Unavailable."""
        call = Call(METHOD, request_id=new_request_id(), deadline=time.monotonic() + self._timeout)
        request = pb.RefreshIdentityRequest(run_id=run_id, refresh_token=refresh_token)
        try:
            response = await clients.unary(self._stub.RefreshIdentity(request, **outgoing(self._timeout, call)))
        except grpc.aio.AioRpcError as error:
            raise statuses.from_rpc_error(error) from error
        try:
            identity = self._verifier.verify(response.token)
        except Unauthenticated as error:
            raise Unavailable("the gateway's new identity token cannot be verified: see the clocks and keys") from error
        return ExchangedToken(response.token, identity, response.valid_for.ToTimedelta().total_seconds())
