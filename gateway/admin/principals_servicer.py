"""The methods of principals, roles and who has which."""

from headworks.gateway.v1 import admin_service_pb2 as pb

from gateway.access.authorize import may_grant
from gateway.access.patterns import checked
from gateway.admin import convert
from gateway.admin.asking import READ, WRITE, caller, tenant
from gateway.admin.granting import Granting
from gateway.identity.store import IdentityStore, PrincipalStore
from services.runtime.interceptors.pipeline import Context


class Principals:
    def __init__(self, store: PrincipalStore) -> None:
        self._store = store

    async def CreatePrincipal(self, request: pb.CreatePrincipalRequest, context: Context) -> pb.CreatePrincipalResponse:
        owner, kind = tenant(request.tenant, WRITE), convert.principal_kind(request.kind)
        made = await self._store.create(owner, kind, request.name, request.display_name)
        return pb.CreatePrincipalResponse(principal=convert.principal(made))

    async def ListPrincipals(self, request: pb.ListPrincipalsRequest, context: Context) -> pb.ListPrincipalsResponse:
        size = convert.page_size(request.page_size)
        kind = convert.principal_kind(request.kind) if request.kind else None
        found = await self._store.list(tenant(request.tenant, READ), kind, request.page_token, size)
        token = found[-1].id if len(found) == size else ""
        return pb.ListPrincipalsResponse(principals=map(convert.principal, found), next_page_token=token)

    async def UpdatePrincipal(self, request: pb.UpdatePrincipalRequest, context: Context) -> pb.UpdatePrincipalResponse:
        owner, state = tenant(request.tenant, WRITE), convert.state(request.state)
        changed = await self._store.set_state(owner, request.id, state)
        return pb.UpdatePrincipalResponse(principal=convert.principal(changed))

    async def DeletePrincipal(self, request: pb.DeletePrincipalRequest, context: Context) -> pb.DeletePrincipalResponse:
        await self._store.delete(tenant(request.tenant, WRITE), request.id)
        return pb.DeletePrincipalResponse()


class Roles:
    def __init__(self, store: IdentityStore, granting: Granting) -> None:
        self._roles = store.roles
        self._principals = store.principals
        self._granting = granting

    async def PutRole(self, request: pb.PutRoleRequest, context: Context) -> pb.PutRoleResponse:
        owner, permissions = tenant(request.tenant, WRITE), checked(request.permissions)
        may_grant(caller(), permissions)
        return pb.PutRoleResponse(role=convert.role(await self._roles.put(owner, request.name, permissions)))

    async def ListRoles(self, request: pb.ListRolesRequest, context: Context) -> pb.ListRolesResponse:
        found = await self._roles.list(tenant(request.tenant, READ))
        return pb.ListRolesResponse(roles=map(convert.role, found))

    async def DeleteRole(self, request: pb.DeleteRoleRequest, context: Context) -> pb.DeleteRoleResponse:
        await self._roles.delete(tenant(request.tenant, WRITE), request.name)
        return pb.DeleteRoleResponse()

    async def BindRole(self, request: pb.BindRoleRequest, context: Context) -> pb.BindRoleResponse:
        owner = tenant(request.tenant, WRITE)
        await self._granting.role(caller(), owner, request.role)
        made = await self._principals.bind(owner, request.principal, request.role, request.project)
        return pb.BindRoleResponse(binding=convert.binding(made))

    async def UnbindRole(self, request: pb.UnbindRoleRequest, context: Context) -> pb.UnbindRoleResponse:
        owner = tenant(request.tenant, WRITE)
        await self._principals.unbind(owner, request.principal, request.role, request.project)
        return pb.UnbindRoleResponse()

    async def ListRoleBindings(
        self, request: pb.ListRoleBindingsRequest, context: Context
    ) -> pb.ListRoleBindingsResponse:
        found = await self._principals.bindings(tenant(request.tenant, READ), request.principal)
        return pb.ListRoleBindingsResponse(bindings=map(convert.binding, found))
