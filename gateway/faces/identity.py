"""IdentityService: who may call it, and proto in, one domain call, proto out."""

from google.protobuf.duration_pb2 import Duration
from headworks.gateway.v1 import identity_service_pb2 as pb
from headworks.gateway.v1 import identity_service_pb2_grpc as pb_grpc

from gateway.identity.authenticate import IssuedTokens
from services.runtime.call import Call
from services.runtime.errors import PermissionDenied
from services.runtime.identity import Identity
from services.runtime.interceptors.chain import Serve, T
from services.runtime.interceptors.pipeline import Context

ORCHESTRATOR = Identity("", "headworks/orchestrator")


class OrchestratorOnly:
    """The layer of IdentityService. With mutual TLS the name in the caller's certificate was checked before any layer;
    without it only what came by a private Unix socket is believed."""

    def __init__(self, mutual_tls: bool) -> None:
        self._mutual_tls = mutual_tls

    async def around(self, call: Call, serve: Serve[T]) -> T:
        if not self._mutual_tls and not call.peer.startswith("unix:"):
            raise PermissionDenied("identities are renewed by mutual TLS, or at the gateway's identity_socket")
        call.identity = ORCHESTRATOR
        return await serve()


class IdentityServicer(pb_grpc.IdentityServiceServicer):
    """Renews the identity tokens of runs."""

    def __init__(self, tokens: IssuedTokens) -> None:
        self._tokens = tokens

    async def RefreshIdentity(self, request: pb.RefreshIdentityRequest, context: Context) -> pb.RefreshIdentityResponse:
        """See the proto."""
        fresh = await self._tokens.exchange(request.run_id, request.refresh_token)
        valid_for = Duration()
        valid_for.FromMilliseconds(int(fresh.seconds * 1000))
        return pb.RefreshIdentityResponse(token=fresh.token, valid_for=valid_for)
