"""What happened in a run, in words. Pure."""

from collections.abc import Mapping

from google.protobuf.duration_pb2 import Duration
from headworks.orchestrator.v1 import run_event_pb2 as pb
from headworks.orchestrator.v1 import run_pb2, tool_pb2
from headworks.type.v1 import usage_pb2

from cli.brief import counted
from cli.messages import enum_word
from cli.output import cost, shorten

LONG = 600
STEPS = {
    pb.STEP_KIND_RETRIEVE: "searched",
    pb.STEP_KIND_GENERATE: "asked the model",
    pb.STEP_KIND_TOOLS: "ran tools",
    pb.STEP_KIND_GRADE: "graded the answer",
    pb.STEP_KIND_REPAIR: "asked the model to repair its answer",
    pb.STEP_KIND_SUMMARISE: "summed up the older part of the session",
}
FINISHES = {"stop": "it was done", "length": "it reached its largest number of tokens", "tool_calls": "to call tools"}
ENDS: Mapping[int, str] = {
    run_pb2.FINISH_REASON_STOP: "it answered",
    run_pb2.FINISH_REASON_NO_ANSWER: "nothing that was found answers the question, and it said so",
    run_pb2.FINISH_REASON_CANCELLED: "it was cancelled, or its caller left",
    run_pb2.FINISH_REASON_DEADLINE_EXCEEDED: "its deadline passed",
    run_pb2.FINISH_REASON_LENGTH: "the answer reached its largest number of tokens",
    run_pb2.FINISH_REASON_TOOL_CALLS: "the model called tools of the caller's, who is to run them",
    run_pb2.FINISH_REASON_REJECTED: "a person refused it",
    run_pb2.FINISH_REASON_CONTENT_FILTER: "a guard stopped the answer",
    run_pb2.FINISH_REASON_BUDGET: "the caller's budget was used up",
}


def seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


def took(duration: float) -> str:
    """A duration for people: 12 ms, 1.25 s."""
    return f"{duration * 1000:.0f} ms" if duration < 1 else f"{duration:.2f} s"


def usage(used: usage_pb2.Usage) -> str:
    cached = f" ({used.cached_tokens} of them cached)" if used.cached_tokens else ""
    thought = f" ({used.reasoning_tokens} of them thought)" if used.reasoning_tokens else ""
    price = f", which cost {cost(used.cost_nanos)}" if used.cost_nanos else ""
    return f"{counted(used.prompt_tokens, 'token')} read{cached}, {used.completion_tokens} written{thought}{price}"


def call(called: tool_pb2.ToolCall) -> str:
    return f"{called.name} with {shorten(called.arguments or '{}', LONG)}"


def result(received: pb.ToolResultReceived) -> str:
    """How a call went."""
    tried = f", {received.attempts} attempts" if received.attempts > 1 else ""
    cut = ", cut" if received.truncated else ""
    how = f"failed ({received.error_reason})" if received.is_error else "returned"
    return f"{how} after {took(seconds(received.duration))}{tried}{cut}: {shorten(received.content, LONG)}"


def routed(event: pb.ModelRouted) -> str:
    """Which model of a route answers, and which did not."""
    failed = [f"{one.target} did not ({one.fault}, {took(seconds(one.duration))})" for one in event.failed]
    hedged = ["another was asked as well"] * event.hedged
    hedged += ["it goes on with the answer that had begun"] * event.resumed
    return "; ".join([f"the route {event.route} led to {event.target}", *failed, *hedged])


def step(finished: pb.StepFinished) -> str:
    """A step that is over: what it did, how long and for how much."""
    model = f" {finished.model}" if finished.model else ""
    said = f"{STEPS.get(finished.kind, 'did something')}{model} in {took(seconds(finished.duration))}"
    waited = seconds(finished.waited)
    if finished.model and waited:
        said += f", {took(waited)} of it the model's"
    if finished.usage.prompt_tokens or finished.usage.completion_tokens:
        said += f": {usage(finished.usage)}"
    if finished.finish:
        said += f"; it stopped: {FINISHES.get(finished.finish, finished.finish)}"
    if finished.HasField("confidence"):
        said += f"; its confidence was {finished.confidence:.2f}"
    return said


def trimmed(context: pb.ContextTrimmed) -> str:
    """What a model whose context is full reads no more."""
    gone, cut = (sum(bool(one.kept) is kept for one in context.results) for kept in (False, True))
    parts = [
        f"{counted(gone, 'tool result')} left out" * bool(gone),
        f"{counted(cut, 'tool result')} cut" * bool(cut),
        f"{context.messages} of the session's messages left out" * bool(context.messages),
    ]
    what = ", ".join(part for part in parts if part)
    return f"the prompt of {counted(context.prompt_tokens, 'token')} was too long for the model: {what}"


def verdict(given: pb.VerdictGiven) -> str:
    if given.undecided:
        return f"the grader “{given.grader}” gave no verdict: {given.reason}"
    how = "passed" if given.passed else "faulted"
    which = f" (attempt {given.attempt})" if given.attempt > 1 else ""
    why = f": {given.reason}" if given.reason else ""
    return f"the grader “{given.grader}” {how} the answer{which}, score {given.score:.2f}{why}"


def approval(requested: pb.ApprovalRequested) -> str:
    """What a person was asked to approve."""
    match requested.kind:
        case pb.ApprovalRequested.KIND_TOOL_CALL:
            what = f"the call of {call(requested.call)}"
        case pb.ApprovalRequested.KIND_RUN:
            what = "the run as a whole"
        case _:
            what = f"the answer “{shorten(requested.draft, LONG)}”"
    why = f", because {requested.reason}" if requested.reason else ""
    return f"asked for approval {requested.approval_id} of {what}{why}"


def decision(decided: pb.ApprovalDecided) -> str:
    if not decided.decided_by:
        return f"nobody decided {decided.approval_id} in time, so the answer was no"
    how = "approved" if decided.approved else "refused"
    comment = f": {decided.comment}" if decided.comment else ""
    instead = f"; instead: “{shorten(decided.replacement, LONG)}”" if decided.replacement else ""
    return f"{decided.decided_by} {how} {decided.approval_id}{comment}{instead}"


def end(finished: pb.RunFinished) -> str:
    """Why a run ended."""
    if finished.reason == run_pb2.FINISH_REASON_LIMIT:
        return f"the agent's limit “{finished.limit}” was reached; the answer is the best so far"
    if finished.reason == run_pb2.FINISH_REASON_ERROR:
        return f"an error, {finished.error_reason}: {finished.error_message}"
    return ENDS.get(finished.reason, enum_word(run_pb2.FinishReason.DESCRIPTOR, finished.reason))
