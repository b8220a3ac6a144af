"""ProjectService."""

from headworks.gateway.v1 import project_service_pb2 as pb
from headworks.gateway.v1 import project_service_pb2_grpc as pb_grpc

from gateway.faces.admin import convert
from gateway.faces.admin.calls import AdminCalls
from gateway.faces.admin.fields import next_token, page_size
from gateway.identity.store import ProjectStore
from services.runtime.interceptors.pipeline import Context


class ProjectServicer(pb_grpc.ProjectServiceServicer):
    def __init__(self, calls: AdminCalls) -> None:
        self._calls = calls

    async def CreateProject(self, request: pb.CreateProjectRequest, context: Context) -> pb.CreateProjectResponse:
        async with self._calls.change(request, context) as call:
            project = await ProjectStore(call.database, call.new_id).create(call.tenant(request.tenant), request.name)
        return pb.CreateProjectResponse(project=convert.project(project))

    async def ListProjects(self, request: pb.ListProjectsRequest, context: Context) -> pb.ListProjectsResponse:
        call, size = self._calls.begin(request, context), page_size(request.page_size)
        projects = await ProjectStore(call.database).list(call.tenant(request.tenant), request.page_token, size)
        token = next_token(projects, size)
        return pb.ListProjectsResponse(projects=map(convert.project, projects), next_page_token=token)

    async def DeleteProject(self, request: pb.DeleteProjectRequest, context: Context) -> pb.DeleteProjectResponse:
        async with self._calls.change(request, context) as call:
            await ProjectStore(call.database).delete(call.tenant(request.tenant), request.id)
        return pb.DeleteProjectResponse()
