"""The orchestrator's agents and sessions, kept in memory, beside runs that are told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from headworks.orchestrator.v1 import agent_pb2, run_event_pb2, run_pb2, session_pb2
from headworks.orchestrator.v1 import agent_service_pb2 as agents_pb
from headworks.orchestrator.v1 import agent_service_pb2_grpc as agents_grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as runs_grpc
from headworks.orchestrator.v1 import session_service_pb2 as sessions_pb
from headworks.orchestrator.v1 import session_service_pb2_grpc as sessions_grpc

from services.runtime.errors import DomainError, ErrorKind, InvalidArgument, Unavailable, UpstreamError
from services.runtime.server import App

Agents: Any = agents_grpc.AgentServiceServicer
Sessions: Any = sessions_grpc.SessionServiceServicer
Runs: Any = runs_grpc.OrchestratorServiceServicer  # whose other methods nobody calls


def not_found(what: str, name: str) -> DomainError:
    return UpstreamError(ErrorKind.NOT_FOUND, f"{what.upper()}_NOT_FOUND", f"there is no {what} {name!r}")


class FakeAgents(Agents):  # type: ignore[misc]
    """A spec here is a line "name: NAME" and any others; "bad" anywhere in it makes it one that is not valid."""

    def __init__(self) -> None:
        self.versions: dict[str, list[agent_pb2.Agent]] = {}

    async def ApplyAgent(self, request: agents_pb.ApplyAgentRequest, context: Any) -> agents_pb.ApplyAgentResponse:  # noqa: N802
        if "bad" in request.spec:
            raise InvalidArgument("line 2: limits.steps must be at least 1", field="limits.steps")
        name = request.spec.splitlines()[0].removeprefix("name: ")
        versions = self.versions.get(name, [])
        if versions and versions[-1].spec == request.spec:
            return agents_pb.ApplyAgentResponse(agent=versions[-1], changed=False)
        agent = agent_pb2.Agent(name=name, version=len(versions) + 1, spec=request.spec, model="m")
        if not request.dry_run:
            self.versions[name] = [*versions, agent]
        return agents_pb.ApplyAgentResponse(agent=agent, changed=True)

    async def GetAgent(self, request: agents_pb.GetAgentRequest, context: Any) -> agents_pb.GetAgentResponse:  # noqa: N802
        versions = self.versions.get(request.name, [])
        if request.version > len(versions) or not versions:
            raise not_found("agent", request.name)
        return agents_pb.GetAgentResponse(agent=versions[(request.version or len(versions)) - 1])

    async def ListAgents(self, request: agents_pb.ListAgentsRequest, context: Any) -> agents_pb.ListAgentsResponse:  # noqa: N802
        """One a page."""
        latest = [versions[-1] for _, versions in sorted(self.versions.items())]
        found = list(reversed(self.versions.get(request.name, []))) if request.name else latest
        start = int(request.page_token or 0)
        token = str(start + 1) if start + 1 < len(found) else ""
        return agents_pb.ListAgentsResponse(agents=found[start : start + 1], next_page_token=token)

    async def DeleteAgent(self, request: agents_pb.DeleteAgentRequest, context: Any) -> agents_pb.DeleteAgentResponse:  # noqa: N802
        versions = self.versions.pop(request.name, [])
        if not versions:
            raise not_found("agent", request.name)
        return agents_pb.DeleteAgentResponse(deleted=1 if request.version else len(versions))


class FakeSessions(Sessions):  # type: ignore[misc]
    def __init__(self) -> None:
        self.messages: dict[str, list[run_pb2.Message]] = {}

    async def GetSession(self, request: sessions_pb.GetSessionRequest, context: Any) -> sessions_pb.GetSessionResponse:  # noqa: N802
        if request.session_id not in self.messages:
            raise not_found("session", request.session_id)
        session = session_pb2.Session(id=request.session_id, summary="They met.")
        return sessions_pb.GetSessionResponse(session=session, messages=self.messages[request.session_id])

    async def ListSessions(  # noqa: N802
        self, request: sessions_pb.ListSessionsRequest, context: Any
    ) -> sessions_pb.ListSessionsResponse:
        found = [session_pb2.Session(id=name, message_count=len(said)) for name, said in self.messages.items()]
        return sessions_pb.ListSessionsResponse(sessions=found)

    async def DeleteSession(  # noqa: N802
        self, request: sessions_pb.DeleteSessionRequest, context: Any
    ) -> sessions_pb.DeleteSessionResponse:
        if self.messages.pop(request.session_id, None) is None:
            raise not_found("session", request.session_id)
        return sessions_pb.DeleteSessionResponse()


class FakeRuns(Runs):  # type: ignore[misc]
    """One run, of `events`. A stream breaks off after each number of them in `breaks`, once each; with
    `hangs` a run stays open after the last of them."""

    def __init__(
        self, events: list[run_event_pb2.RunEvent], *, breaks: tuple[int, ...] = (), hangs: bool = False
    ) -> None:
        self.events = events
        self.hangs = hangs
        self.breaks = list(breaks)
        self.run = run_pb2.Run(id=events[0].run_id, model="analyst", last_sequence=len(events))
        self.attached: list[int] = []
        self.asked: list[pb.RunRequest] = []
        self.listed: list[pb.ListRunsRequest] = []
        self.decided: list[pb.DecideRequest] = []
        self.cancelled: list[str] = []

    async def Run(self, request: pb.RunRequest, context: Any) -> AsyncIterator[pb.RunResponse]:  # noqa: N802
        self.asked.append(request)
        for batch in self._batches(0):
            yield pb.RunResponse(events=batch)
        if self.hangs:
            await asyncio.Event().wait()

    async def Attach(self, request: pb.AttachRequest, context: Any) -> AsyncIterator[pb.AttachResponse]:  # noqa: N802
        if request.run_id != self.run.id:
            raise not_found("run", request.run_id)
        self.attached.append(request.after_sequence)
        for batch in self._batches(request.after_sequence):
            yield pb.AttachResponse(events=batch)

    def _batches(self, after: int) -> Any:
        for event in self.events[after:]:
            yield [event]
            if event.sequence in self.breaks:
                self.breaks.remove(event.sequence)
                raise Unavailable("the orchestrator died")

    async def GetRun(self, request: pb.GetRunRequest, context: Any) -> pb.GetRunResponse:  # noqa: N802
        if request.run_id != self.run.id:
            raise not_found("run", request.run_id)
        return pb.GetRunResponse(run=self.run)

    async def ListRuns(self, request: pb.ListRunsRequest, context: Any) -> pb.ListRunsResponse:  # noqa: N802
        self.listed.append(request)
        return pb.ListRunsResponse(runs=[self.run])

    async def Decide(self, request: pb.DecideRequest, context: Any) -> pb.DecideResponse:  # noqa: N802
        self.decided.append(request)
        decision = run_event_pb2.ApprovalDecided(
            approval_id=request.approval_id, approved=request.approved, decided_by="dev", comment=request.comment
        )
        return pb.DecideResponse(decision=decision)

    async def Cancel(self, request: pb.CancelRequest, context: Any) -> pb.CancelResponse:  # noqa: N802
        self.cancelled.append(request.run_id)
        return pb.CancelResponse(run=self.run)

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:  # noqa: N802
        bare = pb.Model(id="tiny", context_length=512, capabilities=["tools"], input_price_nanos=250_000_000)
        return pb.ListModelsResponse(models=[pb.Model(id="rag", agent_version=1, description="Reads."), bare])


def app(runs: FakeRuns, agents: FakeAgents, sessions: FakeSessions) -> App:
    """An orchestrator of the three."""

    def add(server: grpc.aio.Server) -> None:
        runs_grpc.add_OrchestratorServiceServicer_to_server(runs, server)
        agents_grpc.add_AgentServiceServicer_to_server(agents, server)
        sessions_grpc.add_SessionServiceServicer_to_server(sessions, server)

    return App(add, [])
