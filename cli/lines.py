"""An event of a run as one line. Pure."""

from headworks.orchestrator.v1 import run_event_pb2 as pb
from headworks.orchestrator.v1 import run_pb2

from cli import wording
from cli.answers import word
from cli.output import shorten

STYLES = {
    "started": "bold", "step": "dim", "step done": "dim", "passages": "cyan", "tool call": "yellow",
    "tool result": "yellow", "tool failed": "red", "verdict": "magenta", "approval": "bold red", "decision": "bold red",
    "citation": "cyan", "usage": "dim", "finished": "bold",
}  # fmt: skip


def line(event: pb.RunEvent) -> tuple[str, str]:  # noqa: C901  # one case a kind
    """The kind of an event in a word or two, and what it says."""
    kind = event.WhichOneof("event")
    match kind:
        case "started":
            version = f" version {event.started.agent_version}" if event.started.agent_version else ""
            return kind, f"{event.run_id} of {event.started.model}{version}"
        case "passages":
            found = ", ".join(one.title or one.document_id for one in event.passages.passages) or "none"
            return kind, f"{found} ({wording.DEGRADED})" if event.passages.degraded else found
        case "text":
            return kind, event.text.text
        case "citation":
            cited = event.citation.citation
            return kind, f"{cited.title or cited.document_id}: “{shorten(cited.quote)}”"
        case "usage":
            return kind, wording.usage(event.usage.usage)
        case "step_started":
            what = wording.STEPS.get(event.step_started.kind, "")
            return "step", f"{event.step_started.step}: {what} {event.step_started.model}".rstrip()
        case "step_finished":
            return "step done", f"{event.step_finished.step}: {wording.step(event.step_finished)}"
        case "tool_call":
            whose = " (the caller's own)" if event.tool_call.callers else ""
            return "tool call", f"{event.tool_call.call.name} {shorten(event.tool_call.call.arguments)}{whose}"
        case "tool_result":
            how = "tool failed" if event.tool_result.is_error else "tool result"
            return how, f"{event.tool_result.name} {shorten(wording.result(event.tool_result))}"
        case "verdict":
            return kind, wording.verdict(event.verdict)
        case "approval_request":
            return "approval", wording.approval(event.approval_request)
        case "approval_decision":
            return "decision", wording.decision(event.approval_decision)
        case "finished":
            reason = word(run_pb2.FinishReason.Name(event.finished.reason), "FINISH_REASON_")
            return kind, f"{reason}: {wording.end(event.finished)}"
    return "unknown", ""
