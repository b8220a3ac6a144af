"""ApiKeyService."""

from headworks.gateway.v1 import api_key_service_pb2 as pb
from headworks.gateway.v1 import api_key_service_pb2_grpc as pb_grpc

from gateway.faces.admin import convert
from gateway.faces.admin.calls import AdminCalls
from gateway.faces.admin.fields import next_token, page_size, seconds
from gateway.identity.grant_check import GrantCheck
from gateway.identity.store import IdentityStore, KeyStore
from services.runtime.interceptors.pipeline import Context


class ApiKeyServicer(pb_grpc.ApiKeyServiceServicer):
    def __init__(self, calls: AdminCalls) -> None:
        self._calls = calls

    async def CreateApiKey(self, request: pb.CreateApiKeyRequest, context: Context) -> pb.CreateApiKeyResponse:
        async with self._calls.change(request, context) as call:
            tenant, store = call.tenant(request.tenant), IdentityStore(call.database, call.new_id)
            await GrantCheck(store).key(
                call.caller, tenant, request.principal, request.project, request.roles, request.scopes
            )
            new = await store.keys.create(
                tenant,
                request.principal,
                name=request.name,
                project=request.project,
                roles=request.roles,
                scopes=request.scopes,
                expires=seconds(request.expire_time, "expire_time") if request.HasField("expire_time") else None,
            )
        return pb.CreateApiKeyResponse(key=convert.key(new.key), secret=new.secret)

    async def GetApiKey(self, request: pb.GetApiKeyRequest, context: Context) -> pb.GetApiKeyResponse:
        call = self._calls.begin(request, context)
        key = await KeyStore(call.database).get(call.tenant(request.tenant), request.id)
        return pb.GetApiKeyResponse(key=convert.key(key))

    async def ListApiKeys(self, request: pb.ListApiKeysRequest, context: Context) -> pb.ListApiKeysResponse:
        call, size = self._calls.begin(request, context), page_size(request.page_size)
        tenant = call.tenant(request.tenant)
        keys = await KeyStore(call.database).list(tenant, request.principal, request.page_token, size)
        token = next_token(keys, size)
        return pb.ListApiKeysResponse(keys=map(convert.key, keys), next_page_token=token)

    async def RotateApiKey(self, request: pb.RotateApiKeyRequest, context: Context) -> pb.RotateApiKeyResponse:
        async with self._calls.change(request, context) as call:
            tenant, store = call.tenant(request.tenant), IdentityStore(call.database, call.new_id)
            await GrantCheck(store).rotation(call.caller, await store.keys.get(tenant, request.id))
            new = await store.keys.rotate(tenant, request.id, request.overlap.ToTimedelta().total_seconds())
        return pb.RotateApiKeyResponse(key=convert.key(new.key), secret=new.secret)

    async def RevokeApiKey(self, request: pb.RevokeApiKeyRequest, context: Context) -> pb.RevokeApiKeyResponse:
        async with self._calls.change(request, context) as call:
            key = await KeyStore(call.database).revoke(call.tenant(request.tenant), request.id)
        return pb.RevokeApiKeyResponse(key=convert.key(key))
