"""AuditService."""

from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

from google.api.httpbody_pb2 import HttpBody
from headworks.gateway.v1 import audit_service_pb2 as pb
from headworks.gateway.v1 import audit_service_pb2_grpc as pb_grpc

from gateway.access.authorize import authorize
from gateway.audit.chain import FIRST_CHAIN
from gateway.audit.checkpoints import Checkpoints
from gateway.audit.errors import NothingRecorded
from gateway.audit.store import AuditFilter, AuditStore, export_lines
from gateway.audit.verify import Verifier
from gateway.faces.admin import convert
from gateway.faces.admin.calls import AdminCall, AdminCalls
from gateway.faces.admin.fields import offset, page_size, span
from services.runtime.errors import InvalidArgument
from services.runtime.interceptors.pipeline import Context

JSON_LINES = "application/jsonl"
MOST_ANCHORS = 20_000
WITH_CONTENT = "admin.data:read"
NOWHERE: Mapping[int, int] = MappingProxyType({})


class AuditServicer(pb_grpc.AuditServiceServicer):
    """`seal` signs what is exported, and checks what was signed; `checkpoints` sign the ends of the chains."""

    def __init__(self, calls: AdminCalls, checkpoints: Checkpoints) -> None:
        self._calls = calls
        self._checkpoints = checkpoints
        self._seal = checkpoints.seal

    async def ListAuditRecords(
        self, request: pb.ListAuditRecordsRequest, context: Context
    ) -> pb.ListAuditRecordsResponse:
        call, size = self._calls.begin(request, context), page_size(request.page_size)
        places = _places(request.page_token)
        records = await AuditStore(call.database).page(_query(call, request, places), size)
        places |= {record.chain: record.sequence for record in records}
        token = _page_token(places) if len(records) == size else ""
        return pb.ListAuditRecordsResponse(records=map(convert.audit_record, records), next_page_token=token)

    async def VerifyAudit(self, request: pb.VerifyAuditRequest, context: Context) -> pb.VerifyAuditResponse:
        call = self._calls.begin(request, context)
        call.every_tenant()
        for field in ("after", "chain"):
            if getattr(request, field) < 0:
                raise InvalidArgument(f"{field} must not be negative", field=field)
        if len(request.anchors) > MOST_ANCHORS:
            raise InvalidArgument(f"there are more than {MOST_ANCHORS:,} anchors", field="anchors")
        anchors = [convert.anchor_of(anchor) for anchor in request.anchors]
        verifier = Verifier(call.database, self._seal.check)
        report = await verifier.verify(request.after, request.chain or FIRST_CHAIN, anchors)
        return convert.audit_report(report)

    async def AnchorAudit(self, request: pb.AnchorAuditRequest, context: Context) -> pb.AnchorAuditResponse:
        self._calls.begin(request, context).every_tenant()
        anchor = await self._checkpoints.anchor()
        if anchor is None:
            raise NothingRecorded
        return pb.AnchorAuditResponse(anchor=convert.audit_anchor(anchor))

    async def ExportAudit(self, request: pb.ExportAuditRequest, context: Context) -> AsyncIterator[HttpBody]:
        call = self._calls.begin(request, context)
        if request.content:
            authorize(call.caller, WITH_CONTENT)
        store, records = AuditStore(call.database), _query(call, request)
        async for line in export_lines(store, self._seal, records, content=request.content):
            yield HttpBody(content_type=JSON_LINES, data=line)


def _places(page_token: str) -> dict[int, int]:
    """Where a page begins in each chain: 1.57-2.9, or 57 of the first alone. Raises InvalidArgument."""
    places = [part.rpartition(".") for part in page_token.split("-") if page_token]
    return {offset(chain) or FIRST_CHAIN: offset(sequence) for chain, _, sequence in places}


def _page_token(places: Mapping[int, int]) -> str:
    if list(places) == [FIRST_CHAIN]:
        return str(places[FIRST_CHAIN])
    return "-".join(f"{chain}.{sequence}" for chain, sequence in sorted(places.items()))


def _query(
    call: AdminCall, request: pb.ListAuditRecordsRequest | pb.ExportAuditRequest, after: Mapping[int, int] = NOWHERE
) -> AuditFilter:
    if request.every_tenant:
        call.every_tenant()
    since, until = span(request)
    tenant = "" if request.every_tenant else call.tenant(request.tenant)
    return AuditFilter(tenant, request.subject, since, until, dict(after))
