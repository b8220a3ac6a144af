"""Methods with words for models or of models: not passed on as bytes, but read, for policy looks at all of them."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import session_service_pb2 as session_pb
from headworks.orchestrator.v1 import session_service_pb2_grpc

from gateway.calls.runs import RunCalls
from services.runtime import clients
from services.runtime.call import outgoing
from services.runtime.contract import path
from services.runtime.interceptors.handlers import Handler
from services.runtime.interceptors.pipeline import Context, call_of

RUNS = pb.DESCRIPTOR.services_by_name["OrchestratorService"].methods_by_name
SESSIONS = session_pb.DESCRIPTOR.services_by_name["SessionService"].methods_by_name


class ScreenedMethods:
    """The methods that say what a model reads or has said."""

    def __init__(self, runs: RunCalls, orchestrator: grpc.aio.Channel) -> None:
        self._runs = runs
        self._sessions = session_service_pb2_grpc.SessionServiceStub(orchestrator)

    def handlers(self) -> dict[str, Handler]:
        """By path; they stand before those that pass bytes on."""
        return {
            path(RUNS["Run"]): grpc.unary_stream_rpc_method_handler(
                self.run, pb.RunRequest.FromString, pb.RunResponse.SerializeToString
            ),
            path(RUNS["Attach"]): grpc.unary_stream_rpc_method_handler(
                self.attach, pb.AttachRequest.FromString, pb.AttachResponse.SerializeToString
            ),
            path(SESSIONS["GetSession"]): grpc.unary_unary_rpc_method_handler(
                self.get_session,
                session_pb.GetSessionRequest.FromString,
                session_pb.GetSessionResponse.SerializeToString,
            ),
            path(SESSIONS["ListSessions"]): grpc.unary_unary_rpc_method_handler(
                self.list_sessions,
                session_pb.ListSessionsRequest.FromString,
                session_pb.ListSessionsResponse.SerializeToString,
            ),
            path(RUNS["Decide"]): grpc.unary_unary_rpc_method_handler(
                self.decide, pb.DecideRequest.FromString, pb.DecideResponse.SerializeToString
            ),
        }

    async def run(self, request: pb.RunRequest, context: Context) -> AsyncIterator[pb.RunResponse]:
        async with aclosing(self._runs.run(request, call_of(context))) as batches:
            async for events in batches:
                yield pb.RunResponse(events=events)

    async def attach(self, request: pb.AttachRequest, context: Context) -> AsyncIterator[pb.AttachResponse]:
        async with aclosing(self._runs.attach(request, call_of(context))) as batches:
            async for events in batches:
                yield pb.AttachResponse(events=events)

    async def get_session(
        self, request: session_pb.GetSessionRequest, context: Context
    ) -> session_pb.GetSessionResponse:
        call = call_of(context)
        answered = await clients.unary(self._sessions.GetSession(request, **outgoing(call.remaining, call)))
        for message in answered.messages:
            if message.role in (message.ROLE_ASSISTANT, message.ROLE_TOOL):
                arguments = [each.arguments for each in message.tool_calls]
                message.content, *arguments = self._runs.shown(call, [message.content, *arguments])
                for each, said in zip(message.tool_calls, arguments, strict=True):
                    each.arguments = said
        if answered.session.summary:
            (answered.session.summary,) = self._runs.shown(call, [answered.session.summary])
        return answered

    async def list_sessions(
        self, request: session_pb.ListSessionsRequest, context: Context
    ) -> session_pb.ListSessionsResponse:
        call = call_of(context)
        answered = await clients.unary(self._sessions.ListSessions(request, **outgoing(call.remaining, call)))
        summaries = self._runs.shown(call, [session.summary for session in answered.sessions])
        for session, said in zip(answered.sessions, summaries, strict=True):
            session.summary = said
        return answered

    async def decide(self, request: pb.DecideRequest, context: Context) -> pb.DecideResponse:
        return await self._runs.decide(request, call_of(context))
