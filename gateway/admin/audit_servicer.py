"""The methods of the audit."""

from collections.abc import AsyncIterator

from google.api.httpbody_pb2 import HttpBody
from headworks.gateway.v1 import admin_service_pb2 as pb

from gateway.access.authorize import authorize
from gateway.admin.asking import READ, caller, every_tenant, offset, tenant
from gateway.admin.convert import page_size
from gateway.admin.convert_amounts import span
from gateway.admin.convert_audit import audit_record, report
from gateway.audit.export import Export
from gateway.audit.store import AuditStore, Wanted
from gateway.audit.verify import Verifier
from services.runtime.errors import InvalidArgument
from services.runtime.interceptors.pipeline import Context

JSON_LINES = "application/jsonl"
WITH_CONTENT = "admin.data:read"


class Audits:
    def __init__(self, store: AuditStore, verifier: Verifier, export: Export) -> None:
        self._store = store
        self._verifier = verifier
        self._export = export

    async def ListAuditRecords(
        self, request: pb.ListAuditRecordsRequest, context: Context
    ) -> pb.ListAuditRecordsResponse:
        size = page_size(request.page_size)
        found = await self._store.page(_wanted(request, offset(request.page_token)), size)
        token = str(found[-1].sequence) if len(found) == size else ""
        return pb.ListAuditRecordsResponse(records=map(audit_record, found), next_page_token=token)

    async def VerifyAudit(self, request: pb.VerifyAuditRequest, context: Context) -> pb.VerifyAuditResponse:
        every_tenant(READ)
        if request.after < 0:
            raise InvalidArgument("after must not be negative", field="after")
        return report(await self._verifier.verify(request.after))

    async def ExportAudit(self, request: pb.ExportAuditRequest, context: Context) -> AsyncIterator[HttpBody]:
        if request.content:
            authorize(caller(), WITH_CONTENT)
        async for line in self._export.lines(_wanted(request), content=request.content):
            yield HttpBody(content_type=JSON_LINES, data=line)


def _wanted(request: pb.ListAuditRecordsRequest | pb.ExportAuditRequest, after: int = 0) -> Wanted:
    if request.every_tenant:
        every_tenant(READ)
    since, until = span(request)
    whose = "" if request.every_tenant else tenant(request.tenant, READ)
    return Wanted(whose, request.subject, since, until, after)
