"""TenantService."""

from headworks.gateway.v1 import tenant_service_pb2 as pb
from headworks.gateway.v1 import tenant_service_pb2_grpc as pb_grpc

from gateway.faces.admin import convert
from gateway.faces.admin.calls import AdminCalls
from gateway.faces.admin.fields import next_token, page_size
from gateway.identity.store import TenantStore
from services.runtime.interceptors.pipeline import Context


class TenantServicer(pb_grpc.TenantServiceServicer):
    def __init__(self, calls: AdminCalls) -> None:
        self._calls = calls

    async def CreateTenant(self, request: pb.CreateTenantRequest, context: Context) -> pb.CreateTenantResponse:
        async with self._calls.change(request, context) as call:
            tenant = await TenantStore(call.database).create(request.id, request.display_name)
        return pb.CreateTenantResponse(tenant=convert.tenant(tenant))

    async def GetTenant(self, request: pb.GetTenantRequest, context: Context) -> pb.GetTenantResponse:
        call = self._calls.begin(request, context)
        tenant = await TenantStore(call.database).get(request.id)
        return pb.GetTenantResponse(tenant=convert.tenant(tenant))

    async def ListTenants(self, request: pb.ListTenantsRequest, context: Context) -> pb.ListTenantsResponse:
        call, size = self._calls.begin(request, context), page_size(request.page_size)
        tenants = await TenantStore(call.database).list(request.page_token, size)
        token = next_token(tenants, size)
        return pb.ListTenantsResponse(tenants=map(convert.tenant, tenants), next_page_token=token)

    async def UpdateTenant(self, request: pb.UpdateTenantRequest, context: Context) -> pb.UpdateTenantResponse:
        async with self._calls.change(request, context) as call:
            tenant = await TenantStore(call.database).set_state(request.id, convert.state(request.state))
        return pb.UpdateTenantResponse(tenant=convert.tenant(tenant))

    async def DeleteTenant(self, request: pb.DeleteTenantRequest, context: Context) -> pb.DeleteTenantResponse:
        async with self._calls.change(request, context) as call:
            await TenantStore(call.database).delete(request.id)
        return pb.DeleteTenantResponse()
