"""McpServerService."""

from headworks.gateway.v1 import mcp_server_pb2
from headworks.gateway.v1 import mcp_server_service_pb2 as pb
from headworks.gateway.v1 import mcp_server_service_pb2_grpc as pb_grpc

from gateway.faces.admin import convert
from gateway.faces.admin.calls import AdminCalls
from gateway.faces.admin.fields import offset, page_size
from gateway.mcp.model import OAuthClient
from gateway.mcp.names import tool_name
from gateway.mcp.registration import ServerDraft, ServerRegistration
from gateway.mcp.servers import McpServers
from gateway.mcp.store import McpServerStore
from services.runtime.interceptors.pipeline import Context


class McpServerServicer(pb_grpc.McpServerServiceServicer):
    """`servers` are asked which tools they have."""

    def __init__(self, calls: AdminCalls, registration: ServerRegistration, servers: McpServers) -> None:
        self._calls = calls
        self._registration = registration
        self._servers = servers

    async def PutMcpServer(self, request: pb.PutMcpServerRequest, context: Context) -> pb.PutMcpServerResponse:
        async with self._calls.change(request, context) as call:
            tenant = await call.known_tenant(request.tenant)
            store = McpServerStore(call.database)
            server = await self._registration.put(store, tenant, request.name, _draft(request))
        return pb.PutMcpServerResponse(server=convert.mcp_server(server))

    async def ListMcpServers(self, request: pb.ListMcpServersRequest, context: Context) -> pb.ListMcpServersResponse:
        call = self._calls.begin(request, context)
        size, begin = page_size(request.page_size), offset(request.page_token)
        servers = await McpServerStore(call.database).all(call.tenant(request.tenant))
        end = begin + size
        token = str(end) if end < len(servers) else ""
        return pb.ListMcpServersResponse(servers=map(convert.mcp_server, servers[begin:end]), next_page_token=token)

    async def ListMcpServerTools(
        self, request: pb.ListMcpServerToolsRequest, context: Context
    ) -> pb.ListMcpServerToolsResponse:
        call = self._calls.begin(request, context)
        server = self._servers.get(call.tenant(request.tenant), request.name)
        tools = [
            mcp_server_pb2.McpServerTool(
                name=tool.name,
                offered_name=tool_name(server.name, tool.name) if server.spec.offers(tool.name) else "",
                description=tool.description or tool.title or "",
            )
            for tool in await server.all_tools()
        ]
        return pb.ListMcpServerToolsResponse(tools=tools)

    async def DeleteMcpServer(self, request: pb.DeleteMcpServerRequest, context: Context) -> pb.DeleteMcpServerResponse:
        async with self._calls.change(request, context) as call:
            await McpServerStore(call.database).delete(call.tenant(request.tenant), request.name)
        return pb.DeleteMcpServerResponse()


def _draft(request: pb.PutMcpServerRequest) -> ServerDraft:
    given = request.oauth
    oauth = OAuthClient(given.issuer, given.client_id, given.scope) if request.HasField("oauth") else None
    return ServerDraft(
        request.url, dict(request.headers), oauth, request.client_secret, list(request.tools),
        request.timeout.ToMilliseconds() / 1000, request.keep_secrets,
    )  # fmt: skip
