"""The methods of API keys."""

from headworks.gateway.v1 import admin_service_pb2 as pb

from gateway.admin import convert
from gateway.admin.asking import READ, WRITE, caller, tenant
from gateway.admin.granting import Granting
from gateway.identity.store import KeyStore
from services.runtime.interceptors.pipeline import Context


class Keys:
    def __init__(self, store: KeyStore, granting: Granting) -> None:
        self._store = store
        self._granting = granting

    async def CreateApiKey(self, request: pb.CreateApiKeyRequest, context: Context) -> pb.CreateApiKeyResponse:
        owner = tenant(request.tenant, WRITE)
        await self._granting.key(caller(), owner, request.principal, request.project, request.roles, request.scopes)
        made = await self._store.create(
            owner,
            request.principal,
            name=request.name,
            project=request.project,
            roles=request.roles,
            scopes=request.scopes,
            expires=convert.seconds(request.expire_time, "expire_time") if request.HasField("expire_time") else None,
        )
        return pb.CreateApiKeyResponse(key=convert.key(made.key), secret=made.secret)

    async def GetApiKey(self, request: pb.GetApiKeyRequest, context: Context) -> pb.GetApiKeyResponse:
        return pb.GetApiKeyResponse(key=convert.key(await self._store.get(tenant(request.tenant, READ), request.id)))

    async def ListApiKeys(self, request: pb.ListApiKeysRequest, context: Context) -> pb.ListApiKeysResponse:
        size = convert.page_size(request.page_size)
        found = await self._store.list(tenant(request.tenant, READ), request.principal, request.page_token, size)
        token = found[-1].id if len(found) == size else ""
        return pb.ListApiKeysResponse(keys=map(convert.key, found), next_page_token=token)

    async def RotateApiKey(self, request: pb.RotateApiKeyRequest, context: Context) -> pb.RotateApiKeyResponse:
        owner = tenant(request.tenant, WRITE)
        await self._granting.again(caller(), await self._store.get(owner, request.id))
        made = await self._store.rotate(owner, request.id, request.overlap.ToTimedelta().total_seconds())
        return pb.RotateApiKeyResponse(key=convert.key(made.key), secret=made.secret)

    async def RevokeApiKey(self, request: pb.RevokeApiKeyRequest, context: Context) -> pb.RevokeApiKeyResponse:
        revoked = await self._store.revoke(tenant(request.tenant, WRITE), request.id)
        return pb.RevokeApiKeyResponse(key=convert.key(revoked))
