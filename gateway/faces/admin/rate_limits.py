"""RateLimitService."""

from headworks.gateway.v1 import rate_limit_service_pb2 as pb
from headworks.gateway.v1 import rate_limit_service_pb2_grpc as pb_grpc

from gateway.access.authorize import OTHER_TENANTS, allows
from gateway.faces.admin import convert
from gateway.faces.admin.calls import AdminCall, AdminCalls
from gateway.limits.errors import LimitNotFound
from gateway.limits.model import EACH, Rule
from gateway.limits.store import LimitStore
from services.runtime.errors import InvalidArgument
from services.runtime.interceptors.pipeline import Context

# What counters, in Redis too, can tell from the next number.
MOST = 1 << 40


class RateLimitServicer(pb_grpc.RateLimitServiceServicer):
    def __init__(self, calls: AdminCalls) -> None:
        self._calls = calls

    async def CreateRateLimit(self, request: pb.CreateRateLimitRequest, context: Context) -> pb.CreateRateLimitResponse:
        async with self._calls.change(request, context) as call:
            rule = Rule("", await _tenant(call, request), request.caller, request.model, *_figures(request))
            rule = await LimitStore(call.database, call.new_id).create(rule)
        return pb.CreateRateLimitResponse(limit=convert.rate_limit(rule))

    async def ListRateLimits(self, request: pb.ListRateLimitsRequest, context: Context) -> pb.ListRateLimitsResponse:
        call = self._calls.begin(request, context)
        if request.every_tenant:
            call.every_tenant()
        rules = await LimitStore(call.database).all(None if request.every_tenant else call.tenant(request.tenant))
        return pb.ListRateLimitsResponse(limits=map(convert.rate_limit, rules))

    async def UpdateRateLimit(self, request: pb.UpdateRateLimitRequest, context: Context) -> pb.UpdateRateLimitResponse:
        async with self._calls.change(request, context) as call:
            limits = LimitStore(call.database)
            await _check_owner(call, limits, request.id)
            rule = await limits.change(request.id, *_figures(request))
        return pb.UpdateRateLimitResponse(limit=convert.rate_limit(rule))

    async def DeleteRateLimit(self, request: pb.DeleteRateLimitRequest, context: Context) -> pb.DeleteRateLimitResponse:
        async with self._calls.change(request, context) as call:
            limits = LimitStore(call.database)
            await _check_owner(call, limits, request.id)
            await limits.delete(request.id)
        return pb.DeleteRateLimitResponse()


async def _check_owner(call: AdminCall, limits: LimitStore, limit_id: str) -> None:
    """Raises LimitNotFound for one that is not the caller's to change, as for one that there is not."""
    rule = await limits.get(limit_id)
    if rule.tenant != call.caller.tenant and not allows(call.caller.scopes, f"{OTHER_TENANTS}:{call.verb}"):
        raise LimitNotFound(limit_id)


async def _tenant(call: AdminCall, request: pb.CreateRateLimitRequest) -> str:
    """The rule's tenant: that of the caller, another, "*" for each, or empty for all together."""
    if request.together or request.tenant == EACH:
        call.every_tenant()
        if request.together and request.tenant:
            raise InvalidArgument("a limit that counts all tenants together names none", field="tenant")
        return request.tenant
    return await call.known_tenant(request.tenant)


def _figures(request: pb.CreateRateLimitRequest | pb.UpdateRateLimitRequest) -> tuple[int, int, int]:
    """Requests, tokens and streams."""
    figures = request.requests_per_minute, request.tokens_per_minute, request.streams
    if max(figures) > MOST:
        raise InvalidArgument(f"a limit is {MOST} at most")
    return figures
