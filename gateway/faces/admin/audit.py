"""AuditService."""

from collections.abc import AsyncIterator

from google.api.httpbody_pb2 import HttpBody
from headworks.gateway.v1 import audit_service_pb2 as pb
from headworks.gateway.v1 import audit_service_pb2_grpc as pb_grpc

from gateway.access.authorize import authorize
from gateway.audit.export import Export
from gateway.audit.seal import Seal
from gateway.audit.store import AuditStore, Wanted
from gateway.audit.verify import Verifier
from gateway.faces.admin import convert
from gateway.faces.admin.calls import AdminCall, AdminCalls
from gateway.faces.admin.fields import offset, page_size, span
from services.runtime.errors import InvalidArgument
from services.runtime.interceptors.pipeline import Context

JSON_LINES = "application/jsonl"
WITH_CONTENT = "admin.data:read"


class AuditServicer(pb_grpc.AuditServiceServicer):
    """`seal` signs what is exported, and checks what was signed."""

    def __init__(self, calls: AdminCalls, seal: Seal) -> None:
        self._calls = calls
        self._seal = seal

    async def ListAuditRecords(
        self, request: pb.ListAuditRecordsRequest, context: Context
    ) -> pb.ListAuditRecordsResponse:
        call, size = self._calls.begin(request, context), page_size(request.page_size)
        query = _query(call, request, offset(request.page_token))
        records = await AuditStore(call.database).page(query, size)
        token = str(records[-1].sequence) if len(records) == size else ""
        return pb.ListAuditRecordsResponse(records=map(convert.audit_record, records), next_page_token=token)

    async def VerifyAudit(self, request: pb.VerifyAuditRequest, context: Context) -> pb.VerifyAuditResponse:
        call = self._calls.begin(request, context)
        call.every_tenant()
        if request.after < 0:
            raise InvalidArgument("after must not be negative", field="after")
        report = await Verifier(call.database, self._seal.check).verify(request.after)
        return convert.audit_report(report)

    async def ExportAudit(self, request: pb.ExportAuditRequest, context: Context) -> AsyncIterator[HttpBody]:
        call = self._calls.begin(request, context)
        if request.content:
            authorize(call.caller, WITH_CONTENT)
        export = Export(AuditStore(call.database), self._seal)
        async for line in export.lines(_query(call, request), content=request.content):
            yield HttpBody(content_type=JSON_LINES, data=line)


def _query(call: AdminCall, request: pb.ListAuditRecordsRequest | pb.ExportAuditRequest, after: int = 0) -> Wanted:
    if request.every_tenant:
        call.every_tenant()
    since, until = span(request)
    tenant = "" if request.every_tenant else call.tenant(request.tenant)
    return Wanted(tenant, request.subject, since, until, after)
