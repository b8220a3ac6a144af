"""The methods of usage."""

from collections.abc import AsyncIterator

from google.api.httpbody_pb2 import HttpBody
from headworks.gateway.v1 import admin_service_pb2 as pb

from gateway.admin.asking import READ, every_tenant, offset, tenant
from gateway.admin.convert import page_size
from gateway.admin.convert_amounts import span, usage, usage_sum
from gateway.usage.export import calls_csv
from gateway.usage.query import Wanted
from gateway.usage.store import UsageStore
from services.runtime.interceptors.pipeline import Context

CSV = "text/csv; charset=utf-8"
Request = pb.ListUsageRequest | pb.SumUsageRequest | pb.ExportUsageRequest


class Usages:
    def __init__(self, store: UsageStore) -> None:
        self._store = store

    async def ListUsage(self, request: pb.ListUsageRequest, context: Context) -> pb.ListUsageResponse:
        wanted = _wanted(request, tenant(request.tenant, READ), request.subject)
        calls, token = await self._store.calls(wanted, page_size(request.page_size), request.page_token)
        return pb.ListUsageResponse(records=map(usage, calls), next_page_token=token)

    async def SumUsage(self, request: pb.SumUsageRequest, context: Context) -> pb.SumUsageResponse:
        if request.every_tenant:
            every_tenant(READ)
        size, begin = page_size(request.page_size), offset(request.page_token)
        wanted = _wanted(request, "" if request.every_tenant else tenant(request.tenant, READ))
        sums, more = await self._store.sums(wanted, tuple(request.by), size, begin)
        return pb.SumUsageResponse(sums=map(usage_sum, sums), next_page_token=str(begin + size) if more else "")

    async def ExportUsage(self, request: pb.ExportUsageRequest, context: Context) -> AsyncIterator[HttpBody]:
        async for piece in calls_csv(self._store, _wanted(request, tenant(request.tenant, READ))):
            yield HttpBody(content_type=CSV, data=piece.encode())


def _wanted(request: Request, whose: str, subject: str = "") -> Wanted:
    since, until = span(request)
    return Wanted(
        tenant=whose,
        project=request.project,
        key=request.key,
        agent=request.agent,
        model=request.model,
        subject=subject,
        since=since or 0.0,
        until=float("inf") if until is None else until,
    )
