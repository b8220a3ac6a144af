"""DataService: validate, convert, one domain call, convert back."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

from headworks.orchestrator.v1 import data_service_pb2 as pb
from headworks.orchestrator.v1 import data_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as runs_pb

from services.orchestrator import convert
from services.orchestrator.agents.specs.store import AgentStore
from services.orchestrator.data.erasure import DataEraser, Erased, What
from services.orchestrator.data.store import DataStore, DataSubject
from services.orchestrator.directory import RunDirectory
from services.orchestrator.prompts.store import PromptStore
from services.orchestrator.runs.access import Viewer
from services.orchestrator.runs.errors import RunNotFound
from services.orchestrator.servicers.sessions import session_message
from services.orchestrator.sessions.store import SessionStore
from services.runtime.call import current
from services.runtime.errors import InvalidArgument, PermissionDenied
from services.runtime.interceptors.pipeline import Context

SCOPE = "admin.data:write"
_WHAT = {
    pb.DATA_KIND_RUNS: What.RUNS,
    pb.DATA_KIND_SESSIONS: What.SESSIONS,
    pb.DATA_KIND_AGENTS: What.AGENTS,
    pb.DATA_KIND_PROMPTS: What.PROMPTS,
}
Cancel = Callable[[runs_pb.CancelRequest, Viewer], Awaitable[runs_pb.CancelResponse]]


class DataServicer(pb_grpc.DataServiceServicer):
    """`cancel` ends a run, on whichever replica it is."""

    def __init__(
        self,
        store: DataStore,
        sessions: SessionStore,
        agents: AgentStore,
        prompts: PromptStore,
        directory: RunDirectory,
        erasure: DataEraser,
        cancel: Cancel,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._agents = agents
        self._prompts = prompts
        self._directory = directory
        self._erasure = erasure
        self._cancel = cancel

    async def ExportData(self, request: pb.ExportDataRequest, context: Context) -> AsyncIterator[pb.ExportDataResponse]:
        whose = DataSubject(_tenant(), request.subject)
        async for response in self._runs(whose):
            yield response
        for session_id in await self._store.sessions(whose):
            session = await self._sessions.find(whose.tenant, session_id)
            messages = await self._store.messages(whose, session_id)
            if session is not None:
                said = [convert.message(message) for message in messages]
                yield pb.ExportDataResponse(session=pb.ExportedSession(session=session_message(session), messages=said))
        for agent in await self._agents.all(whose.tenant) if not whose.subject else ():
            exported = pb.ExportedAgent(name=agent.name, version=agent.version, spec=agent.spec)
            yield pb.ExportDataResponse(agent=exported)
        for prompt in await self._prompts.all(whose.tenant) if not whose.subject else ():
            template = pb.ExportedPrompt(name=prompt.name, version=prompt.version, spec=prompt.spec)
            yield pb.ExportDataResponse(prompt=template)

    async def _runs(self, whose: DataSubject) -> AsyncIterator[pb.ExportDataResponse]:
        async for run_id, subject, ask in self._store.runs(whose):
            try:
                info = await self._directory.get(Viewer(whose.tenant, others=True), run_id)
            except RunNotFound:
                continue
            asked = [convert.message(message) for message in (ask.messages if ask else ())]
            exported = pb.ExportedRun(run=convert.run(info), subject=subject, messages=asked)
            yield pb.ExportDataResponse(run=exported)
            after = 0
            while events := await self._directory.events(run_id, after):
                for event in events:
                    yield pb.ExportDataResponse(event=convert.event(run_id, event))
                after = events[-1].sequence

    async def EraseData(self, request: pb.EraseDataRequest, context: Context) -> AsyncIterator[pb.EraseDataResponse]:
        before = request.before.ToNanoseconds() / 1e9 if request.HasField("before") else None
        whose = DataSubject(_tenant(), request.subject, before)

        async def end(run_id: str) -> None:
            await self._cancel(runs_pb.CancelRequest(run_id=run_id), Viewer(whose.tenant, others=True))

        async with aclosing(self._erasure.erase(whose, _what(request), end)) as parts:
            async for erased in parts:
                yield _erased(erased)


def _tenant() -> str:
    """Raises PermissionDenied for anybody but the gateway itself."""
    identity = current().identity
    if identity is None or SCOPE not in identity.scopes:
        raise PermissionDenied(f"this needs the scope {SCOPE!r}", scope=SCOPE)
    return identity.tenant


def _what(request: pb.EraseDataRequest) -> set[What]:
    if any(kind not in _WHAT for kind in request.kinds):
        raise InvalidArgument("a kind is unknown", field="kinds")
    return {_WHAT[kind] for kind in request.kinds} or set(What)


def _erased(erased: Erased) -> pb.EraseDataResponse:
    return pb.EraseDataResponse(
        runs=erased.runs,
        sessions=erased.sessions,
        messages=erased.messages,
        agents=erased.agents,
        prompts=erased.prompts,
    )
