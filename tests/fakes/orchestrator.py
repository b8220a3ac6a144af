"""An orchestrator that streams the events it is told."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import run_event_pb2, run_pb2

from services.runtime import call as calls
from services.runtime.errors import DomainError

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


Base: Any = pb_grpc.OrchestratorServiceServicer  # whose other methods nobody calls


class FakeOrchestrator(Base):  # type: ignore[misc]
    """`says` is what a run does; it holds before the event numbered `hold`, and ends with `error`, if any."""

    def __init__(
        self,
        says: Sequence[run_event_pb2.RunEvent] = (),
        *,
        hold: int | None = None,
        error: DomainError | None = None,
    ) -> None:
        self.says = says
        self.hold = hold
        self.error = error
        self.held = asyncio.Event()
        self.left = asyncio.Event()
        self.runs: list[pb.RunRequest] = []
        self.calls: list[calls.Call] = []

    async def Run(self, request: pb.RunRequest, context: Any) -> AsyncIterator[pb.RunResponse]:  # noqa: N802 (as in the proto)
        self.runs.append(request)
        self.calls.append(calls.current())
        try:
            for number, event in enumerate(self.says):
                if number == self.hold:
                    self.held.set()
                    await asyncio.Event().wait()
                event.run_id, event.sequence = RUN_ID, number + 1
                yield pb.RunResponse(events=[event])
            if self.error:
                raise self.error
        finally:
            self.left.set()

    async def GetRun(self, request: pb.GetRunRequest, context: Any) -> pb.GetRunResponse:  # noqa: N802
        self.calls.append(calls.current())
        if self.error:
            raise self.error
        return pb.GetRunResponse(run=run_pb2.Run(id=request.run_id))

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:  # noqa: N802
        self.calls.append(calls.current())
        if self.error:
            raise self.error
        return pb.ListModelsResponse(models=[pb.Model(id="rag", description="Answers.")])
