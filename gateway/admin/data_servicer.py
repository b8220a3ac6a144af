"""The methods of data rights."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import orjson
from google.api.httpbody_pb2 import HttpBody
from headworks.gateway.v1 import admin_pb2
from headworks.gateway.v1 import admin_service_pb2 as pb

from gateway.admin.asking import READ, WRITE, tenant
from gateway.admin.recording import Recorder
from gateway.privacy.policies import KeepingPolicies, KeepingPolicy
from gateway.privacy.privacy import Privacy
from services.runtime.errors import InvalidArgument
from services.runtime.interceptors.pipeline import Context

JSON_LINES = "application/jsonl"
# The names of columns are a kind of str of their own.
LINE = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS


class Data:
    def __init__(self, privacy: Privacy, policies: KeepingPolicies, recorder: Recorder) -> None:
        self._privacy = privacy
        self._policies = policies
        self._recorder = recorder

    async def ExportData(self, request: pb.ExportDataRequest, context: Context) -> AsyncIterator[HttpBody]:
        whose = tenant(request.tenant, READ)
        found = self._privacy.export(whose, request.subject or None, self._recorder.actor())
        async with aclosing(found) as items:
            async for item in items:
                yield HttpBody(content_type=JSON_LINES, data=orjson.dumps(item, option=LINE))

    async def EraseData(self, request: pb.EraseDataRequest, context: Context) -> AsyncIterator[pb.EraseDataResponse]:
        whose = tenant(request.tenant, WRITE)
        if bool(request.subject) == request.everything:
            raise InvalidArgument("say whose: a subject, or everything of the tenant", field="subject")
        if not request.confirm:
            raise InvalidArgument("what is erased cannot be brought back: say confirm", field="confirm")
        erasing = self._privacy.erase(whose, request.subject or None, self._recorder.actor())
        async with aclosing(erasing) as steps:
            async for step in steps:
                yield pb.EraseDataResponse(kind=step.kind, erased=step.erased, done=step.done)

    async def GetRetention(self, request: pb.GetRetentionRequest, context: Context) -> pb.GetRetentionResponse:
        whose = tenant(request.tenant, READ)
        return pb.GetRetentionResponse(retention=retention(whose, self._policies.of(whose)))

    async def SetRetention(self, request: pb.SetRetentionRequest, context: Context) -> pb.SetRetentionResponse:
        whose, policy = tenant(request.tenant, WRITE), KeepingPolicy(request.keep_content, dict(request.days))
        await self._policies.set(whose, policy)
        return pb.SetRetentionResponse(retention=retention(whose, policy))


def retention(whose: str, policy: KeepingPolicy) -> admin_pb2.Retention:
    return admin_pb2.Retention(tenant=whose, keep_content=policy.content, days=policy.days)
