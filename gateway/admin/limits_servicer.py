"""The methods of rate limits."""

from headworks.gateway.v1 import admin_service_pb2 as pb

from gateway.access.authorize import OTHER_TENANTS
from gateway.access.patterns import allows
from gateway.admin.asking import READ, WRITE, caller, every_tenant, tenant
from gateway.admin.convert_amounts import rate_limit
from gateway.limits.rule import EACH, Rule
from gateway.limits.store import LimitNotFound, LimitStore
from services.runtime.errors import InvalidArgument
from services.runtime.interceptors.pipeline import Context

# What counters, in Redis too, can tell from the next number.
MOST = 1 << 40


class Limits:
    def __init__(self, store: LimitStore) -> None:
        self._store = store

    async def CreateRateLimit(self, request: pb.CreateRateLimitRequest, context: Context) -> pb.CreateRateLimitResponse:
        asked = Rule("", _whose(request), request.caller, request.model, *_figures(request))
        return pb.CreateRateLimitResponse(limit=rate_limit(await self._store.create(asked)))

    async def ListRateLimits(self, request: pb.ListRateLimitsRequest, context: Context) -> pb.ListRateLimitsResponse:
        if request.every_tenant:
            every_tenant(READ)
        found = await self._store.all(None if request.every_tenant else tenant(request.tenant, READ))
        return pb.ListRateLimitsResponse(limits=map(rate_limit, found))

    async def UpdateRateLimit(self, request: pb.UpdateRateLimitRequest, context: Context) -> pb.UpdateRateLimitResponse:
        await self._known(request.id)
        changed = await self._store.change(request.id, *_figures(request))
        return pb.UpdateRateLimitResponse(limit=rate_limit(changed))

    async def DeleteRateLimit(self, request: pb.DeleteRateLimitRequest, context: Context) -> pb.DeleteRateLimitResponse:
        await self._known(request.id)
        await self._store.delete(request.id)
        return pb.DeleteRateLimitResponse()

    async def _known(self, id_: str) -> None:
        """Raises LimitNotFound for one that is not the caller's to change, as for one that there is not."""
        who, rule = caller(), await self._store.get(id_)
        if rule.tenant != who.tenant and not allows(who.scopes, f"{OTHER_TENANTS}:{WRITE}"):
            raise LimitNotFound(id_)


def _whose(request: pb.CreateRateLimitRequest) -> str:
    """The rule's tenant: that of the caller, another, "*" for each, or empty for all together."""
    if request.together or request.tenant == EACH:
        every_tenant(WRITE)
        if request.together and request.tenant:
            raise InvalidArgument("a limit that counts all tenants together names none", field="tenant")
        return request.tenant
    return tenant(request.tenant, WRITE)


def _figures(request: pb.CreateRateLimitRequest | pb.UpdateRateLimitRequest) -> tuple[int, int, int]:
    """Requests, tokens and streams."""
    figures = request.requests_per_minute, request.tokens_per_minute, request.streams
    if max(figures) > MOST:
        raise InvalidArgument(f"a limit is {MOST} at most")
    return figures
