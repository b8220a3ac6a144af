"""The events of a run of an agent that does a bit of everything."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from headworks.orchestrator.v1 import run_event_pb2 as pb
from headworks.orchestrator.v1 import run_pb2, tool_pb2
from headworks.type.v1 import citation_pb2, timing_pb2, usage_pb2

RUN_ID = "run_orchestrator-0_7"
START = 1_700_000_000
CALL = tool_pb2.ToolCall(id="c1", name="calculator", arguments='{"expression": "17*23"}')
PAY = tool_pb2.ToolCall(id="c2", name="pay", arguments='{"to": "Ann"}')
USED = usage_pb2.Usage(prompt_tokens=40, completion_tokens=7, cached_tokens=16, cost_nanos=54_000)


def ms(count: int) -> Duration:
    return Duration(seconds=count // 1000, nanos=count % 1000 * 1_000_000)


def numbered(events: list[pb.RunEvent]) -> list[pb.RunEvent]:
    """The events as one run's: each half a second after the last."""
    for number, event in enumerate(events):
        event.run_id, event.sequence = RUN_ID, number + 1
        event.create_time.CopyFrom(Timestamp(seconds=START + number // 2, nanos=500_000_000 * (number % 2)))
    return events


def until_approval() -> list[pb.RunEvent]:
    """It retrieved, called the calculator, and waits for a person before it calls `pay`."""
    passage = pb.RetrievedPassage(passage_id="p1", document_id="bees.md", title="Bees", score=0.5)
    kind = pb.ApprovalRequested.KIND_TOOL_CALL
    return numbered([
        pb.RunEvent(started=pb.RunStarted(model="analyst", agent_version=3, collection="docs", session_id="s1")),
        pb.RunEvent(passages=pb.PassagesRetrieved(passages=[passage])),
        pb.RunEvent(step_started=pb.StepStarted(step=1, kind=pb.STEP_KIND_GENERATE, model="tiny")),
        pb.RunEvent(tool_call=pb.ToolCallRequested(call=CALL, step=1)),
        pb.RunEvent(step_finished=pb.StepFinished(
            step=1, kind=pb.STEP_KIND_GENERATE, model="tiny", usage=USED, duration=ms(420), waited=ms(410),
            text="I must multiply.", finish="tool_calls",
        )),
        pb.RunEvent(tool_result=pb.ToolResultReceived(
            call_id="c1", name="calculator", content="391", duration=ms(3), attempts=1,
        )),
        pb.RunEvent(approval_request=pb.ApprovalRequested(approval_id="apr_1", kind=kind, reason="it pays", call=PAY)),
    ])  # fmt: skip


def whole_run() -> list[pb.RunEvent]:
    """The same, after the person said no, to its end at a limit."""
    decided = pb.ApprovalDecided(approval_id="apr_1", approved=False, decided_by="dev", comment="too much")
    cited = citation_pb2.Citation(document_id="bees.md", title="Bees", quote="A worker lives six weeks.")
    finished = pb.RunFinished(
        reason=run_pb2.FINISH_REASON_LIMIT, limit="steps", timings=[timing_pb2.HopTiming(hop="llm", duration=ms(410))]
    )
    return numbered([
        *until_approval(),
        pb.RunEvent(approval_decision=decided),
        pb.RunEvent(text=pb.TextDelta(text="It is ")),
        pb.RunEvent(text=pb.TextDelta(text="391.")),
        pb.RunEvent(citation=pb.CitationAdded(citation=cited)),
        pb.RunEvent(verdict=pb.VerdictGiven(grader="grounded", passed=False, score=0.25, reason="one is not",
                                            attempt=2, sentences=["It is 391."])),
        pb.RunEvent(usage=pb.UsageReported(usage=USED)),
        pb.RunEvent(finished=finished),
    ])  # fmt: skip
