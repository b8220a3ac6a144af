"""UsageService."""

from collections.abc import AsyncIterator

from google.api.httpbody_pb2 import HttpBody
from headworks.gateway.v1 import usage_service_pb2 as pb
from headworks.gateway.v1 import usage_service_pb2_grpc as pb_grpc

from gateway.faces.admin import convert
from gateway.faces.admin.calls import AdminCalls
from gateway.faces.admin.fields import offset, page_size, span
from gateway.usage.store import UsageFilter, UsageStore, calls_csv
from services.runtime.interceptors.pipeline import Context

CSV = "text/csv; charset=utf-8"
Request = pb.ListUsageRequest | pb.SumUsageRequest | pb.ExportUsageRequest


class UsageServicer(pb_grpc.UsageServiceServicer):
    def __init__(self, calls: AdminCalls) -> None:
        self._calls = calls

    async def ListUsage(self, request: pb.ListUsageRequest, context: Context) -> pb.ListUsageResponse:
        call = self._calls.begin(request, context)
        query = _query(request, call.tenant(request.tenant), request.subject)
        rows, token = await UsageStore(call.database).calls(query, page_size(request.page_size), request.page_token)
        return pb.ListUsageResponse(records=map(convert.usage, rows), next_page_token=token)

    async def SumUsage(self, request: pb.SumUsageRequest, context: Context) -> pb.SumUsageResponse:
        call = self._calls.begin(request, context)
        if request.every_tenant:
            call.every_tenant()
        size, begin = page_size(request.page_size), offset(request.page_token)
        query = _query(request, "" if request.every_tenant else call.tenant(request.tenant))
        sums, more = await UsageStore(call.database).sums(query, tuple(request.by), size, begin)
        token = str(begin + size) if more else ""
        return pb.SumUsageResponse(sums=map(convert.usage_sum, sums), next_page_token=token)

    async def ExportUsage(self, request: pb.ExportUsageRequest, context: Context) -> AsyncIterator[HttpBody]:
        call = self._calls.begin(request, context)
        query = _query(request, call.tenant(request.tenant))
        async for piece in calls_csv(UsageStore(call.database), query):
            yield HttpBody(content_type=CSV, data=piece.encode())


def _query(request: Request, tenant: str, subject: str = "") -> UsageFilter:
    since, until = span(request)
    return UsageFilter(
        tenant=tenant,
        project=request.project,
        key=request.key,
        agent=request.agent,
        model=request.model,
        subject=subject,
        since=since or 0.0,
        until=float("inf") if until is None else until,
    )
