"""RoleService: roles, and who has which."""

from headworks.gateway.v1 import role_service_pb2 as pb
from headworks.gateway.v1 import role_service_pb2_grpc as pb_grpc

from gateway.access.authorize import checked, may_grant
from gateway.faces.admin import convert
from gateway.faces.admin.calls import AdminCalls
from gateway.identity.grant_check import GrantCheck
from gateway.identity.store import IdentityStore, PrincipalStore, RoleStore
from services.runtime.interceptors.pipeline import Context


class RoleServicer(pb_grpc.RoleServiceServicer):
    def __init__(self, calls: AdminCalls) -> None:
        self._calls = calls

    async def PutRole(self, request: pb.PutRoleRequest, context: Context) -> pb.PutRoleResponse:
        async with self._calls.change(request, context) as call:
            tenant, permissions = call.tenant(request.tenant), checked(request.permissions)
            may_grant(call.caller, permissions)
            role = await RoleStore(call.database).put(tenant, request.name, permissions)
        return pb.PutRoleResponse(role=convert.role(role))

    async def ListRoles(self, request: pb.ListRolesRequest, context: Context) -> pb.ListRolesResponse:
        call = self._calls.begin(request, context)
        roles = await RoleStore(call.database).list(call.tenant(request.tenant))
        return pb.ListRolesResponse(roles=map(convert.role, roles))

    async def DeleteRole(self, request: pb.DeleteRoleRequest, context: Context) -> pb.DeleteRoleResponse:
        async with self._calls.change(request, context) as call:
            await RoleStore(call.database).delete(call.tenant(request.tenant), request.name)
        return pb.DeleteRoleResponse()

    async def BindRole(self, request: pb.BindRoleRequest, context: Context) -> pb.BindRoleResponse:
        async with self._calls.change(request, context) as call:
            tenant, store = call.tenant(request.tenant), IdentityStore(call.database, call.new_id)
            await GrantCheck(store).role(call.caller, tenant, request.role)
            binding = await store.principals.bind(tenant, request.principal, request.role, request.project)
        return pb.BindRoleResponse(binding=convert.binding(binding))

    async def UnbindRole(self, request: pb.UnbindRoleRequest, context: Context) -> pb.UnbindRoleResponse:
        async with self._calls.change(request, context) as call:
            principals = PrincipalStore(call.database)
            await principals.unbind(call.tenant(request.tenant), request.principal, request.role, request.project)
        return pb.UnbindRoleResponse()

    async def ListRoleBindings(
        self, request: pb.ListRoleBindingsRequest, context: Context
    ) -> pb.ListRoleBindingsResponse:
        call = self._calls.begin(request, context)
        bindings = await PrincipalStore(call.database).bindings(call.tenant(request.tenant), request.principal)
        return pb.ListRoleBindingsResponse(bindings=map(convert.binding, bindings))
