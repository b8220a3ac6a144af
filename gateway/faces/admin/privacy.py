"""PrivacyService."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import orjson
from google.api.httpbody_pb2 import HttpBody
from headworks.gateway.v1 import privacy_service_pb2 as pb
from headworks.gateway.v1 import privacy_service_pb2_grpc as pb_grpc

from gateway.faces.admin import convert
from gateway.faces.admin.calls import WRITE, AdminCalls
from gateway.privacy.policies import RetentionPolicies, RetentionPolicy
from gateway.privacy.service import Privacy
from services.runtime.errors import InvalidArgument
from services.runtime.interceptors.pipeline import Context

JSON_LINES = "application/jsonl"
# The names of columns are a kind of str of their own.
LINE = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS


class PrivacyServicer(pb_grpc.PrivacyServiceServicer):
    """Exports and erasures are recorded by `privacy`, with who made them."""

    def __init__(self, calls: AdminCalls, privacy: Privacy, policies: RetentionPolicies) -> None:
        self._calls = calls
        self._privacy = privacy
        self._policies = policies

    async def ExportData(self, request: pb.ExportDataRequest, context: Context) -> AsyncIterator[HttpBody]:
        call = self._calls.begin(request, context)
        exported = self._privacy.export(call.tenant(request.tenant), request.subject or None, call.actor)
        async with aclosing(exported) as items:
            async for item in items:
                yield HttpBody(content_type=JSON_LINES, data=orjson.dumps(item, option=LINE))

    async def EraseData(self, request: pb.EraseDataRequest, context: Context) -> AsyncIterator[pb.EraseDataResponse]:
        call = self._calls.begin(request, context, WRITE)
        tenant = call.tenant(request.tenant)
        if bool(request.subject) == request.everything:
            raise InvalidArgument("say whose: a subject, or everything of the tenant", field="subject")
        if not request.confirm:
            raise InvalidArgument("what is erased cannot be brought back: say confirm", field="confirm")
        async with aclosing(self._privacy.erase(tenant, request.subject or None, call.actor)) as steps:
            async for step in steps:
                yield pb.EraseDataResponse(kind=step.kind, erased=step.erased, done=step.done)

    async def GetRetention(self, request: pb.GetRetentionRequest, context: Context) -> pb.GetRetentionResponse:
        tenant = self._calls.begin(request, context).tenant(request.tenant)
        return pb.GetRetentionResponse(retention=convert.retention(tenant, self._policies.of(tenant)))

    async def SetRetention(self, request: pb.SetRetentionRequest, context: Context) -> pb.SetRetentionResponse:
        async with self._calls.change(request, context) as call:
            tenant, policy = call.tenant(request.tenant), RetentionPolicy(request.keep_content, dict(request.days))
            await self._policies.set(tenant, policy)
        return pb.SetRetentionResponse(retention=convert.retention(tenant, policy))
