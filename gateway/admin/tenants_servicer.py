"""The methods of tenants and projects."""

from headworks.gateway.v1 import admin_service_pb2 as pb

from gateway.admin import convert
from gateway.admin.asking import READ, WRITE, tenant
from gateway.identity.store import ProjectStore, TenantStore
from services.runtime.interceptors.pipeline import Context


class Tenants:
    def __init__(self, store: TenantStore) -> None:
        self._store = store

    async def CreateTenant(self, request: pb.CreateTenantRequest, context: Context) -> pb.CreateTenantResponse:
        made = await self._store.create(request.id, request.display_name)
        return pb.CreateTenantResponse(tenant=convert.tenant(made))

    async def GetTenant(self, request: pb.GetTenantRequest, context: Context) -> pb.GetTenantResponse:
        return pb.GetTenantResponse(tenant=convert.tenant(await self._store.get(request.id)))

    async def ListTenants(self, request: pb.ListTenantsRequest, context: Context) -> pb.ListTenantsResponse:
        size = convert.page_size(request.page_size)
        found = await self._store.list(request.page_token, size)
        token = found[-1].id if len(found) == size else ""
        return pb.ListTenantsResponse(tenants=map(convert.tenant, found), next_page_token=token)

    async def UpdateTenant(self, request: pb.UpdateTenantRequest, context: Context) -> pb.UpdateTenantResponse:
        changed = await self._store.set_state(request.id, convert.state(request.state))
        return pb.UpdateTenantResponse(tenant=convert.tenant(changed))

    async def DeleteTenant(self, request: pb.DeleteTenantRequest, context: Context) -> pb.DeleteTenantResponse:
        await self._store.delete(request.id)
        return pb.DeleteTenantResponse()


class Projects:
    def __init__(self, store: ProjectStore) -> None:
        self._store = store

    async def CreateProject(self, request: pb.CreateProjectRequest, context: Context) -> pb.CreateProjectResponse:
        made = await self._store.create(tenant(request.tenant, WRITE), request.name)
        return pb.CreateProjectResponse(project=convert.project(made))

    async def ListProjects(self, request: pb.ListProjectsRequest, context: Context) -> pb.ListProjectsResponse:
        size = convert.page_size(request.page_size)
        found = await self._store.list(tenant(request.tenant, READ), request.page_token, size)
        token = found[-1].id if len(found) == size else ""
        return pb.ListProjectsResponse(projects=map(convert.project, found), next_page_token=token)

    async def DeleteProject(self, request: pb.DeleteProjectRequest, context: Context) -> pb.DeleteProjectResponse:
        await self._store.delete(tenant(request.tenant, WRITE), request.id)
        return pb.DeleteProjectResponse()
