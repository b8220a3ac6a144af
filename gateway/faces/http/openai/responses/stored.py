"""What OpenAI's stored responses are here: runs of a session, in which the next one goes on."""

import uuid
from dataclasses import replace

import grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc

from gateway.faces.http.openai.errors import BadRequest
from gateway.faces.http.openai.responses.response_json import run_of
from gateway.faces.http.openai.responses.response_request import ResponseRequest
from services.runtime import clients
from services.runtime.call import Call, outgoing
from services.runtime.permissions import allows


class PreviousResponseNotFound(BadRequest):
    """There is no session to go on with."""

    reason = "PREVIOUS_RESPONSE_NOT_FOUND"


class StoredResponses:
    """Finds the sessions of responses. The orchestrator shows callers their own."""

    def __init__(self, orchestrator: grpc.aio.Channel) -> None:
        self._runs = pb_grpc.OrchestratorServiceStub(orchestrator)

    async def placed(self, asked: ResponseRequest, call: Call) -> ResponseRequest:
        """The request of a run with the session that it belongs to, if it does. Raises BadRequest."""
        if asked.previous:
            session_id = await self._session_of(asked.previous, call)
        elif asked.session_id:
            session_id = asked.session_id
        elif asked.body.get("metadata") and asked.body["metadata"].get("session_id"):
            return replace(asked, store=True)
        elif asked.store or (asked.store is None and self._may_store(call)):
            session_id = f"resp-{uuid.uuid4().hex}"
        else:
            return replace(asked, store=False)
        chat = asked.chat | {"metadata": {**asked.chat.get("metadata", {}), "session_id": session_id}}
        return replace(asked, chat=chat, store=True)

    @staticmethod
    def _may_store(call: Call) -> bool:
        """Whether a caller who does not say so may have a session."""
        return call.identity is not None and allows(call.identity.scopes, "sessions.write:resp-")

    async def _session_of(self, previous: str, call: Call) -> str:
        """The session that a response was the last of: from an earlier one no session goes on."""
        try:
            asked = self._runs.GetRun(pb.GetRunRequest(run_id=run_of(previous)), **outgoing(call.remaining, call))
            run = (await clients.unary(asked)).run
        except grpc.aio.AioRpcError as error:
            if error.code() not in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT):
                raise
            raise _not_found("there is no such response") from error
        if not run.session_id:
            raise _not_found("the response was not stored")
        listing = pb.ListRunsRequest(page_size=1, session_id=run.session_id)
        latest = (await clients.unary(self._runs.ListRuns(listing, **outgoing(call.remaining, call)))).runs
        if latest and latest[0].id != run.id:
            raise _not_found("the response is not the last of its conversation")
        return run.session_id


def _not_found(why: str) -> PreviousResponseNotFound:
    return PreviousResponseNotFound(f"{why}: send the whole conversation as input", "previous_response_id")
