"""An orchestrator that streams the events it is told."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
from headworks.orchestrator.v1 import agent_service_pb2_grpc, run_event_pb2, run_pb2
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc

from services.runtime import call as calls
from services.runtime.errors import DeadlineExceeded, DomainError, ErrorKind, UpstreamError
from services.runtime.server import App

RUN_ID = "run_orchestrator-0_1"


def events(*texts: str, answered: bool = True) -> list[run_event_pb2.RunEvent]:
    """A run that quotes `texts`, each with its citation."""
    made = [run_event_pb2.RunEvent(started=run_event_pb2.RunStarted(model="rag", collection="default"))]
    length = 0
    for number, text in enumerate(texts):
        piece = f" {text}" if length else text
        made.append(run_event_pb2.RunEvent(text=run_event_pb2.TextDelta(text=piece)))
        start, length = length + len(piece) - len(text), length + len(piece)
        cited = run_event_pb2.CitationAdded()
        cited.answer_span.start, cited.answer_span.end = start, length
        cited.citation.document_id, cited.citation.title, cited.citation.quote = f"d{number}", "T", text
        cited.citation.passage_id, cited.citation.span.start, cited.citation.span.end = "p", 100, 100 + len(text)
        made.append(run_event_pb2.RunEvent(citation=cited))
    usage = run_event_pb2.RunEvent()
    usage.usage.usage.prompt_tokens, usage.usage.usage.completion_tokens = 40, 7
    finished = run_event_pb2.RunEvent()
    finished.finished.reason = run_pb2.FINISH_REASON_STOP if answered else run_pb2.FINISH_REASON_NO_ANSWER
    finished.finished.timings.add(hop="orchestrator").duration.nanos = 1_500_000
    return [*made, usage, finished]


def tool_call(name: str, arguments: str, *, callers: bool = True) -> run_event_pb2.RunEvent:
    """The model calls a tool; `callers` for one of the caller's own."""
    event = run_event_pb2.RunEvent(tool_call=run_event_pb2.ToolCallRequested(callers=callers, step=1))
    event.tool_call.call.id, event.tool_call.call.name = f"call_{name}", name
    event.tool_call.call.arguments = arguments
    return event


def approval(approval_id: str) -> run_event_pb2.RunEvent:
    """The run waits until a person approves a call of the tool `pay`."""
    kind = run_event_pb2.ApprovalRequested.KIND_TOOL_CALL
    event = run_event_pb2.RunEvent(
        approval_request=run_event_pb2.ApprovalRequested(approval_id=approval_id, kind=kind, reason="It pays.")
    )
    event.approval_request.call.name, event.approval_request.call.arguments = "pay", "{}"
    return event


Base: Any = pb_grpc.OrchestratorServiceServicer  # whose other methods nobody calls
AgentBase: Any = agent_service_pb2_grpc.AgentServiceServicer  # likewise


class NoAgents(AgentBase):  # type: ignore[misc]
    """Has no agents but those that are listed with the models."""

    async def GetAgent(self, request: Any, context: Any) -> None:  # noqa: N802
        raise NoSuchAgent(f"there is no agent {request.name!r}")


class NoSuchAgent(DomainError):
    kind = ErrorKind.NOT_FOUND
    reason = "AGENT_NOT_FOUND"


def with_no_agents(orchestrator: "FakeOrchestrator") -> App:
    """The service as it is where it has no agents of its own."""

    def add(server: grpc.aio.Server) -> None:
        pb_grpc.add_OrchestratorServiceServicer_to_server(orchestrator, server)
        agent_service_pb2_grpc.add_AgentServiceServicer_to_server(NoAgents(), server)

    return App(add, [])


class FakeOrchestrator(Base):  # type: ignore[misc]
    """`says` is what a run does; it holds before the event numbered `hold`
    until `resume` is set, and ends with `error`, if any. From the event numbered `moves` on
    it is another replica's, which whoever attaches hears. The first `cuts` calls that follow it are over too soon."""

    def __init__(
        self,
        says: Sequence[run_event_pb2.RunEvent] = (),
        *,
        hold: int | None = None,
        error: DomainError | None = None,
        moves: int | None = None,
    ) -> None:
        self.says = says
        self.hold = hold
        self.error = error
        self.moves = moves
        self.held = asyncio.Event()
        self.resume = asyncio.Event()
        self.left = asyncio.Event()
        self.runs: list[pb.RunRequest] = []
        self.calls: list[calls.Call] = []
        self.attached: list[calls.Call] = []
        self.cuts = 0
        self.listed: list[calls.Call] = []
        self.cancelled: list[str] = []
        self.models: list[pb.Model] = []
        self.default_model = ""

    async def Run(self, request: pb.RunRequest, context: Any) -> AsyncIterator[pb.RunResponse]:  # noqa: N802 (as in the proto)
        self.runs.append(request)
        self.calls.append(calls.current())
        try:
            for number, event in enumerate(self.says):
                if number == self.hold:
                    self.held.set()
                    await self.resume.wait()
                if number == self.moves:
                    raise UpstreamError(ErrorKind.UNAVAILABLE, "RUN_MOVED", "it is elsewhere", run_id=RUN_ID)
                event.run_id, event.sequence = RUN_ID, number + 1
                yield pb.RunResponse(events=[event])
            if self.hold == len(self.says):
                self.held.set()
                await self.resume.wait()
            if self.error:
                raise self.error
        finally:
            self.left.set()

    async def Attach(self, request: pb.AttachRequest, context: Any) -> AsyncIterator[pb.AttachResponse]:  # noqa: N802
        self.attached.append(calls.current())
        if self.cuts:
            self.cuts -= 1
            raise DeadlineExceeded("calls are no longer than that")
        for number, event in enumerate(self.says, 1):
            event.run_id, event.sequence = RUN_ID, number
            if number > request.after_sequence:
                yield pb.AttachResponse(events=[event])

    async def Cancel(self, request: pb.CancelRequest, context: Any) -> pb.CancelResponse:  # noqa: N802
        self.cancelled.append(request.run_id)
        return pb.CancelResponse(run=run_pb2.Run(id=request.run_id))

    async def GetRun(self, request: pb.GetRunRequest, context: Any) -> pb.GetRunResponse:  # noqa: N802
        self.calls.append(calls.current())
        if self.error:
            raise self.error
        return pb.GetRunResponse(run=run_pb2.Run(id=request.run_id))

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:  # noqa: N802
        self.listed.append(calls.current())
        if self.error and not self.says:
            raise self.error
        agent = pb.Model(id="rag", description="Answers.", agent_version=2)
        bare = pb.Model(
            id="bare",
            context_length=2048,
            capabilities=["tools"],
            input_price_nanos=500_000_000,
            output_price_nanos=1_500_000_000,
        )
        return pb.ListModelsResponse(models=[agent, bare, *self.models], default_model=self.default_model)
