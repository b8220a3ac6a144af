"""PrincipalService."""

from headworks.gateway.v1 import principal_service_pb2 as pb
from headworks.gateway.v1 import principal_service_pb2_grpc as pb_grpc

from gateway.faces.admin import convert
from gateway.faces.admin.calls import AdminCalls
from gateway.faces.admin.fields import next_token, page_size
from gateway.identity.store import PrincipalStore
from services.runtime.interceptors.pipeline import Context


class PrincipalServicer(pb_grpc.PrincipalServiceServicer):
    def __init__(self, calls: AdminCalls) -> None:
        self._calls = calls

    async def CreatePrincipal(self, request: pb.CreatePrincipalRequest, context: Context) -> pb.CreatePrincipalResponse:
        async with self._calls.change(request, context) as call:
            tenant, kind = call.tenant(request.tenant), convert.principal_kind(request.kind)
            principals = PrincipalStore(call.database, call.new_id)
            principal = await principals.create(tenant, kind, request.name, request.display_name, request.groups)
        return pb.CreatePrincipalResponse(principal=convert.principal(principal))

    async def ListPrincipals(self, request: pb.ListPrincipalsRequest, context: Context) -> pb.ListPrincipalsResponse:
        call, size = self._calls.begin(request, context), page_size(request.page_size)
        kind = convert.principal_kind(request.kind) if request.kind else None
        tenant = call.tenant(request.tenant)
        principals = await PrincipalStore(call.database).list(tenant, kind, request.page_token, size)
        token = next_token(principals, size)
        return pb.ListPrincipalsResponse(principals=map(convert.principal, principals), next_page_token=token)

    async def UpdatePrincipal(self, request: pb.UpdatePrincipalRequest, context: Context) -> pb.UpdatePrincipalResponse:
        async with self._calls.change(request, context) as call:
            tenant, principals = call.tenant(request.tenant), PrincipalStore(call.database)
            if request.set_groups:
                principal = await principals.set_groups(tenant, request.id, request.groups)
            if request.state or not request.set_groups:
                principal = await principals.set_state(tenant, request.id, convert.state(request.state))
        return pb.UpdatePrincipalResponse(principal=convert.principal(principal))

    async def DeletePrincipal(self, request: pb.DeletePrincipalRequest, context: Context) -> pb.DeletePrincipalResponse:
        async with self._calls.change(request, context) as call:
            await PrincipalStore(call.database).delete(call.tenant(request.tenant), request.id)
        return pb.DeletePrincipalResponse()
