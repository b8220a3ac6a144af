"""The methods of the audit."""

from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

from google.api.httpbody_pb2 import HttpBody
from headworks.gateway.v1 import admin_service_pb2 as pb

from gateway.access.authorize import authorize
from gateway.admin.asking import READ, caller, every_tenant, offset, tenant
from gateway.admin.convert import page_size
from gateway.admin.convert_amounts import span
from gateway.admin.convert_audit import audit_record, report
from gateway.audit.chain import FIRST_CHAIN
from gateway.audit.export import Export
from gateway.audit.store import AuditStore, Wanted
from gateway.audit.verify import Verifier
from services.runtime.errors import InvalidArgument
from services.runtime.interceptors.pipeline import Context

JSON_LINES = "application/jsonl"
WITH_CONTENT = "admin.data:read"
NOWHERE: Mapping[int, int] = MappingProxyType({})


class Audits:
    def __init__(self, store: AuditStore, verifier: Verifier, export: Export) -> None:
        self._store = store
        self._verifier = verifier
        self._export = export

    async def ListAuditRecords(
        self, request: pb.ListAuditRecordsRequest, context: Context
    ) -> pb.ListAuditRecordsResponse:
        size = page_size(request.page_size)
        after = _places(request.page_token)
        found = await self._store.page(_wanted(request, after), size)
        after |= {one.chain: one.sequence for one in found}
        token = _page_token(after) if len(found) == size else ""
        return pb.ListAuditRecordsResponse(records=map(audit_record, found), next_page_token=token)

    async def VerifyAudit(self, request: pb.VerifyAuditRequest, context: Context) -> pb.VerifyAuditResponse:
        every_tenant(READ)
        for field in ("after", "chain"):
            if getattr(request, field) < 0:
                raise InvalidArgument(f"{field} must not be negative", field=field)
        return report(await self._verifier.verify(request.after, request.chain or FIRST_CHAIN))

    async def ExportAudit(self, request: pb.ExportAuditRequest, context: Context) -> AsyncIterator[HttpBody]:
        if request.content:
            authorize(caller(), WITH_CONTENT)
        async for line in self._export.lines(_wanted(request), content=request.content):
            yield HttpBody(content_type=JSON_LINES, data=line)


def _places(page_token: str) -> dict[int, int]:
    """Where a page begins in each chain: 1.57-2.9, or 57 of the first alone. Raises InvalidArgument."""
    places = [part.rpartition(".") for part in page_token.split("-") if page_token]
    return {offset(chain) or FIRST_CHAIN: offset(sequence) for chain, _, sequence in places}


def _page_token(places: Mapping[int, int]) -> str:
    if list(places) == [FIRST_CHAIN]:
        return str(places[FIRST_CHAIN])
    return "-".join(f"{chain}.{sequence}" for chain, sequence in sorted(places.items()))


def _wanted(request: pb.ListAuditRecordsRequest | pb.ExportAuditRequest, after: Mapping[int, int] = NOWHERE) -> Wanted:
    if request.every_tenant:
        every_tenant(READ)
    since, until = span(request)
    whose = "" if request.every_tenant else tenant(request.tenant, READ)
    return Wanted(whose, request.subject, since, until, dict(after))
