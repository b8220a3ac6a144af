"""SessionService: validate, convert, one domain call, convert back."""

from headworks.orchestrator.v1 import session_pb2
from headworks.orchestrator.v1 import session_service_pb2 as pb
from headworks.orchestrator.v1 import session_service_pb2_grpc as pb_grpc

from services.orchestrator import convert, requests
from services.orchestrator.runs.access import Verb
from services.orchestrator.scopes import viewer_of
from services.orchestrator.sessions.store import Session, SessionStore
from services.runtime.call import current
from services.runtime.interceptors.pipeline import Context


class SessionServicer(pb_grpc.SessionServiceServicer):
    def __init__(self, store: SessionStore) -> None:
        self._store = store

    async def GetSession(self, request: pb.GetSessionRequest, context: Context) -> pb.GetSessionResponse:
        name, viewer = requests.session_id(request.session_id), viewer_of(current(), "sessions", Verb.READ)
        session = await self._store.get(viewer, name)
        messages = await self._store.messages(viewer.tenant, name)
        return pb.GetSessionResponse(
            session=session_message(session), messages=[convert.message(message) for message in messages]
        )

    async def ListSessions(self, request: pb.ListSessionsRequest, context: Context) -> pb.ListSessionsResponse:
        size = requests.page_size(request.page_size)
        start = convert.page_start(request.page_token)
        found = await self._store.latest(viewer_of(current(), "sessions", Verb.READ), size + 1, start)
        more = len(found) > size
        last = found[size - 1] if more else None
        return pb.ListSessionsResponse(
            sessions=[session_message(session) for session in found[:size]],
            next_page_token=convert.page_after(last.update_time, last.id) if last else "",
        )

    async def DeleteSession(self, request: pb.DeleteSessionRequest, context: Context) -> pb.DeleteSessionResponse:
        viewer = viewer_of(current(), "sessions", Verb.WRITE)
        await self._store.delete(viewer, requests.session_id(request.session_id))
        return pb.DeleteSessionResponse()


def session_message(of: Session) -> session_pb2.Session:
    return session_pb2.Session(
        id=of.id,
        create_time=convert.timestamp(of.create_time),
        update_time=convert.timestamp(of.update_time),
        message_count=of.message_count,
        summary=of.summary,
        subject=of.subject,
    )
