"""Protobuf and domain, each way. Pure."""

import math
import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from headworks.orchestrator.v1 import orchestrator_service_pb2 as service_pb
from headworks.orchestrator.v1 import run_event_pb2 as event_pb
from headworks.orchestrator.v1 import run_pb2 as run_pb
from headworks.orchestrator.v1 import tool_pb2
from headworks.type.v1 import citation_pb2, span_pb2, timing_pb2, usage_pb2

from services.llm.chat import Message
from services.llm.route_report import Difficulty
from services.orchestrator.beside import shown
from services.orchestrator.domain.event import (
    ApprovalDecided,
    ApprovalRequested,
    CitationAdded,
    ContextTrimmed,
    Event,
    Finished,
    ModelRouted,
    PassagesRetrieved,
    ReasoningDelta,
    Span,
    Started,
    StepFinished,
    StepStarted,
    TextDelta,
    Timing,
    ToolCallBegun,
    ToolCallRequested,
    ToolResultReceived,
    UsageReported,
    VerdictGiven,
)
from services.orchestrator.domain.tool import ToolCall
from services.orchestrator.runs.agent import Listed
from services.orchestrator.runs.run import RunInfo
from services.runtime.errors import InvalidArgument

_PAGE = re.compile(r"([0-9.e+-]+)/([A-Za-z0-9_.-]+)")


def timestamp(seconds: float) -> Timestamp:
    whole = int(seconds)
    return Timestamp(seconds=whole, nanos=int((seconds - whole) * 1e9))


def duration(seconds: float) -> Duration:
    whole = int(seconds)
    return Duration(seconds=whole, nanos=int((seconds - whole) * 1e9))


def event(run_id: str, of: Event) -> event_pb.RunEvent:
    """An event of the run."""
    message = event_pb.RunEvent(run_id=run_id, sequence=of.sequence)
    # Set field by field, which costs half of what a constructor does: a stream of text is many events.
    message.create_time.seconds = whole = int(of.time)
    message.create_time.nanos = int((of.time - whole) * 1e9)
    body = of.body
    if type(body) is TextDelta:
        message.text.text = body.text
        if body.tokens:
            message.text.tokens = body.tokens
        if body.refusal:
            message.text.refusal = True
    else:
        _FILL[type(body)](message, body)
    return message


def _started(message: event_pb.RunEvent, body: Started) -> None:
    message.started.CopyFrom(
        event_pb.RunStarted(
            model=body.model,
            collection=body.collection,
            agent_version=body.agent_version,
            session_id=body.session_id,
            prompt=body.prompt,
            callers_prompt=body.callers_prompt,
        )
    )


def _reasoning(message: event_pb.RunEvent, body: ReasoningDelta) -> None:
    message.reasoning.text = body.text


def _passages(message: event_pb.RunEvent, body: PassagesRetrieved) -> None:
    message.passages.SetInParent()
    if body.degraded:
        message.passages.degraded = True
    if body.not_reranked:
        message.passages.not_reranked = True
    if body.left_out_tokens:
        message.passages.left_out_tokens = body.left_out_tokens
    for passage in body.passages:
        message.passages.passages.add(
            passage_id=passage.passage_id,
            document_id=passage.document_id,
            title=passage.title,
            score=passage.score,
        )


def _usage(message: event_pb.RunEvent, body: UsageReported) -> None:
    message.usage.usage.CopyFrom(usage(body))


def usage(of: UsageReported) -> usage_pb2.Usage:
    return usage_pb2.Usage(
        prompt_tokens=of.prompt_tokens,
        completion_tokens=of.completion_tokens,
        cached_tokens=of.cached_tokens,
        cost_nanos=of.cost_nanos,
        reasoning_tokens=of.reasoning_tokens,
    )


def _step_started(message: event_pb.RunEvent, body: StepStarted) -> None:
    message.step_started.CopyFrom(
        event_pb.StepStarted(
            step=body.step,
            kind=int(body.kind),  # type: ignore[arg-type]  # the values are the contract's
            model=body.model,
            prompt_tokens=body.prompt_tokens,
        )
    )


def _difficulty(judged: Difficulty | None) -> event_pb.RouteDifficulty | None:
    if judged is None:
        return None
    return event_pb.RouteDifficulty(
        value=judged.value, by=judged.by, abstained=judged.abstained, explored=judged.explored
    )


def _model_routed(message: event_pb.RunEvent, body: ModelRouted) -> None:
    report = body.report
    message.model_routed.CopyFrom(
        event_pb.ModelRouted(
            route=report.route,
            target=report.target,
            failed=[
                event_pb.RouteAttempt(target=one.target, fault=one.fault, duration=duration(one.seconds))
                for one in report.failed
            ],
            hedged=report.hedged,
            resumed=report.resumed,
            difficulty=_difficulty(report.difficulty),
        )
    )


def _step_finished(message: event_pb.RunEvent, body: StepFinished) -> None:
    message.step_finished.CopyFrom(
        event_pb.StepFinished(
            step=body.step,
            kind=int(body.kind),  # type: ignore[arg-type]  # the values are the contract's
            model=body.model,
            usage=usage(body.usage),
            duration=duration(body.seconds),
            waited=duration(body.waited),
            text=body.text,
            finish=body.finish,
            confidence=body.confidence,
        )
    )


def tool_call(call: ToolCall, *, callers: bool = False) -> tool_pb2.ToolCall:
    """`callers`: the caller makes it, and sends back what stands beside it."""
    beside = shown(call.beside) if callers else ""
    return tool_pb2.ToolCall(id=call.id, name=call.name, arguments=call.arguments_json, beside=beside)


def _tool_called(message: event_pb.RunEvent, body: ToolCallRequested) -> None:
    message.tool_call.CopyFrom(
        event_pb.ToolCallRequested(
            call=tool_call(body.call, callers=body.callers), step=body.step, callers=body.callers
        )
    )


def _tool_begun(message: event_pb.RunEvent, body: ToolCallBegun) -> None:
    message.tool_begun.CopyFrom(event_pb.ToolCallBegun(call_id=body.call_id))


def _tool_result(message: event_pb.RunEvent, body: ToolResultReceived) -> None:
    result = body.result
    message.tool_result.CopyFrom(
        event_pb.ToolResultReceived(
            call_id=result.call_id,
            name=result.name,
            content=result.content,
            is_error=result.is_error,
            error_reason=result.error_reason or "",
            duration=duration(result.seconds),
            attempts=result.attempts,
            truncated=result.truncated,
        )
    )


def _context_trimmed(message: event_pb.RunEvent, body: ContextTrimmed) -> None:
    results = [event_pb.TrimmedResult(call_id=one.call_id, kept=one.kept) for one in body.results]
    message.context_trimmed.CopyFrom(
        event_pb.ContextTrimmed(results=results, messages=body.messages, prompt_tokens=body.prompt_tokens)
    )


def _verdict(message: event_pb.RunEvent, body: VerdictGiven) -> None:
    message.verdict.CopyFrom(
        event_pb.VerdictGiven(
            grader=body.grader,
            passed=body.passed,
            score=body.score,
            reason=body.reason,
            attempt=body.attempt,
            sentences=body.sentences,
            undecided=body.undecided,
        )
    )


def _approval_requested(message: event_pb.RunEvent, body: ApprovalRequested) -> None:
    message.approval_request.CopyFrom(
        event_pb.ApprovalRequested(
            approval_id=body.approval_id,
            kind=int(body.kind),  # type: ignore[arg-type]  # the values are the contract's
            reason=body.reason,
            call=tool_call(body.call) if body.call else None,
            draft=body.draft,
            expire_time=timestamp(body.expires) if body.expires is not None else None,
        )
    )


def _approval_decided(message: event_pb.RunEvent, body: ApprovalDecided) -> None:
    message.approval_decision.CopyFrom(decision(body))


def decision(body: ApprovalDecided) -> event_pb.ApprovalDecided:
    return event_pb.ApprovalDecided(
        approval_id=body.approval_id,
        approved=body.approved,
        decided_by=body.decided_by,
        comment=body.comment,
        replacement=body.replacement,
    )


def _citation(message: event_pb.RunEvent, body: CitationAdded) -> None:
    citation = body.citation
    message.citation.CopyFrom(
        event_pb.CitationAdded(
            citation=citation_pb2.Citation(
                document_id=citation.document_id,
                title=citation.title,
                uri=citation.uri,
                passage_id=citation.passage_id,
                span=_span(citation.span),
                quote=citation.quote,
                page=citation.page,
            ),
            answer_span=_span(body.answer_span),
        )
    )


def _span(span: Span) -> span_pb2.CharSpan:
    return span_pb2.CharSpan(start=span.start, end=span.end)


def _finished(message: event_pb.RunEvent, body: Finished) -> None:
    message.finished.CopyFrom(
        event_pb.RunFinished(
            reason=int(body.reason),  # type: ignore[arg-type]  # the values are the contract's
            error_reason=body.error_reason,
            error_message=body.error_message,
            error_code=body.error_code,
            timings=[_timing(timing) for timing in body.timings],
            limit=body.limit,
            error_details=body.error_details,
            retry_after=None if body.retry_after is None else duration(body.retry_after),
        )
    )


def _timing(timing: Timing) -> timing_pb2.HopTiming:
    return timing_pb2.HopTiming(hop=timing.hop, duration=duration(timing.seconds))


_FILL: dict[type, Callable[[event_pb.RunEvent, Any], None]] = {
    ReasoningDelta: _reasoning,
    Started: _started,
    PassagesRetrieved: _passages,
    CitationAdded: _citation,
    UsageReported: _usage,
    StepStarted: _step_started,
    ModelRouted: _model_routed,
    StepFinished: _step_finished,
    ToolCallRequested: _tool_called,
    ToolCallBegun: _tool_begun,
    ToolResultReceived: _tool_result,
    ContextTrimmed: _context_trimmed,
    VerdictGiven: _verdict,
    ApprovalRequested: _approval_requested,
    ApprovalDecided: _approval_decided,
    Finished: _finished,
}


def message(of: Message) -> run_pb.Message:
    """A message of a conversation."""
    return run_pb.Message(
        role=int(of.role),  # type: ignore[arg-type]  # the values are the contract's
        content=of.content,
        tool_calls=[tool_call(call) for call in of.tool_calls],
        tool_call_id=of.tool_call_id,
        name=of.name,
    )


def run(info: RunInfo) -> run_pb.Run:
    """A run as others see it."""
    return run_pb.Run(
        id=info.id,
        model=info.model,
        collection=info.collection,
        state=int(info.state),  # type: ignore[arg-type]  # the values are the contract's
        finish_reason=int(info.finish_reason or 0),  # type: ignore[arg-type]
        last_sequence=info.last_sequence,
        create_time=timestamp(info.create_time),
        end_time=timestamp(info.end_time) if info.end_time is not None else None,
        usage=usage(info.usage),
        agent_version=info.agent_version,
        session_id=info.session_id,
        pending_approvals=info.pending,
        subject=info.subject,
    )


def model(listed: Listed) -> service_pb.Model:
    """A name that Run accepts."""
    return service_pb.Model(
        id=listed.id,
        description=listed.description,
        agent_version=listed.agent_version,
        context_length=listed.context_length,
        capabilities=listed.capabilities,
        input_price_nanos=listed.input_price_nanos,
        output_price_nanos=listed.output_price_nanos,
        models=listed.models,
        targets=[service_pb.ModelTarget(**asdict(one)) for one in listed.targets],
    )


def page_token(info: RunInfo) -> str:
    """Where the next page begins: after this run."""
    return page_after(info.create_time, info.id)


def page_after(time: float, name: str) -> str:
    return f"{time!r}/{name}"


def page_start(token: str) -> tuple[float, str] | None:
    """What `page_token` made; None for the first page. Raises InvalidArgument for anything else."""
    if not token:
        return None
    found = _PAGE.fullmatch(token)
    try:
        time = float(found[1]) if found else math.nan
    except ValueError:
        time = math.nan
    if found is None or not math.isfinite(time):
        raise InvalidArgument("page_token must be a next_page_token of this method", field="page_token")
    return time, found[2]
