"""A run's events on their way to the caller: counted, held back, and ended where the gateway ends a run."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import run_event_pb2 as event_pb
from headworks.orchestrator.v1 import run_pb2, tool_pb2
from headworks.type.v1 import usage_pb2

from gateway.calls.beside import BesideTexts
from gateway.calls.call import BUDGET, CONTENT_FILTER, ModelCall
from gateway.calls.held import HeldStream, Part
from gateway.guard.finding import Finding
from services.llm.openai.chunks import APART, Channel

Events = Sequence[event_pb.RunEvent]
TEXT = Channel("text")
REASONING = Channel("reasoning")
# What no model and no person has written: names of things, and words of the mesh's own.
_FIXED = frozenset((
    "run_id", "id", "call_id", "approval_id", "passage_id", "document_id", "session_id", "uri", "model", "collection",
    "finish", "error_reason", "error_details", "limit", "hop", "grader", "decided_by",
))  # fmt: skip
# What a model wrote before such an end is not reported.
BROKEN_OFF = (
    run_pb2.FINISH_REASON_CANCELLED,
    run_pb2.FINISH_REASON_DEADLINE_EXCEEDED,
    run_pb2.FINISH_REASON_ERROR,
)
REASONS = {BUDGET: run_pb2.FINISH_REASON_BUDGET, CONTENT_FILTER: run_pb2.FINISH_REASON_CONTENT_FILTER}


class _EventText(NamedTuple):
    channel: Channel
    text: str
    path: str = ""


class HeldEvents(HeldStream[event_pb.RunEvent, event_pb.RunEvent]):
    """Events are changed in place. Texts beside the answer are screened apart: of one that is blocked nothing is shown,
    but the calls that the caller is to make go out as they may be made, or end the answer."""

    def take_events(self, events: Events) -> list[event_pb.RunEvent]:
        """Take the next events; after `finished` none comes."""
        return self.take(events, last=bool(events) and events[-1].HasField("finished"))

    def _joins(self, piece: event_pb.RunEvent) -> bool:
        return piece.HasField("tool_call") and piece.tool_call.callers

    def _read(self, piece: event_pb.RunEvent) -> Iterable[Part]:
        kind = piece.WhichOneof("event")
        if kind == "text":
            return (_EventText(TEXT, piece.text.text),)
        if kind == "reasoning":
            return (_EventText(REASONING, piece.reasoning.text),)
        if kind == "tool_call" and piece.tool_call.callers:
            call = piece.tool_call.call
            beside = _beside(call)
            if beside.unread:  # what cannot be read is not shown
                call.beside = ""
            more = [leaf.text for leaf in beside.leaves if call.beside]
            return [_EventText(APART, text) for text in (call.name, call.arguments, *more)]
        if kind is not None:
            self._cover(getattr(piece, kind))
        return ()

    def _write(self, piece: event_pb.RunEvent, texts: Sequence[str] | None, cut: bool) -> event_pb.RunEvent:
        if piece.HasField("citation"):
            span = piece.citation.answer_span
            span.start, span.end = self.shift(TEXT, span.start), self.shift(TEXT, span.end)
        elif texts is not None and piece.HasField("text"):
            piece.text.text = texts[0]
        elif texts is not None and piece.HasField("reasoning"):
            piece.reasoning.text = texts[0]
        elif texts is not None:
            call = piece.tool_call.call
            call.name, call.arguments, *more = texts
            beside = _beside(call)
            for leaf, text in reversed(list(zip(beside.leaves, more, strict=True))):
                leaf.put(text)
            call.beside = beside.text
        return piece

    def _cover(self, message: Any) -> None:
        """Leave in the texts of an event, or of a message in one, what may be shown of them."""
        for field, value in message.ListFields():
            if field.name in _FIXED:
                continue
            if field.type == FieldDescriptor.TYPE_STRING:
                if field.is_repeated:
                    value[:] = [self.beside(text) for text in value]
                else:
                    setattr(message, field.name, self.beside(value))
            elif field.type == FieldDescriptor.TYPE_MESSAGE:
                for inner in value if field.is_repeated else (value,):
                    self._cover(inner)


def _beside(call: tool_pb2.ToolCall) -> BesideTexts:
    return BesideTexts(call.beside, spoken=True)


class RunAnswer:
    """The events of one run. `last_event` is the sequence number of the last that came; `stopped` says why the gateway
    has ended the run, if it has."""

    def __init__(self, call: ModelCall) -> None:
        self._call = call
        self._held = call.held = HeldEvents(call.screen) if call.screen is not None else None
        self._last_released = 0
        self.last_event = 0
        self.stopped = ""

    def take(self, batch: pb.RunResponse | pb.AttachResponse) -> list[event_pb.RunEvent]:
        """Count the events; returns those that may go out."""
        self.count(batch.events)
        released = list(batch.events) if self._held is None else self._held.take_events(batch.events)
        if released:
            self._last_released = released[-1].sequence
            if self._call.keeps:
                self._call.answer += [event.text.text for event in released if event.HasField("text")]
        return released

    def count(self, events: Events) -> None:  # noqa: C901 (one case a kind)
        """Count events, whether or not somebody gets them."""
        call, meter = self._call, self._call.meter
        if events:
            call.begin()
            self.last_event = events[-1].sequence
            call.run_id = call.run_id or events[0].run_id
        for event in events:
            kind = event.WhichOneof("event")
            if kind == "text":
                meter.write(event.text.text, event.text.tokens)
            elif kind == "reasoning":
                meter.write(event.reasoning.text)
            elif kind == "tool_call":
                meter.write(event.tool_call.call.name)
                meter.write(event.tool_call.call.arguments)
            elif kind == "step_started":
                if asked := event.step_started.prompt_tokens:
                    meter.ask(asked)
            elif kind == "usage":
                used = event.usage.usage
                meter.report(
                    used.prompt_tokens, used.completion_tokens, used.cached_tokens, used.cost_nanos,
                    used.reasoning_tokens,
                )  # fmt: skip
            elif kind == "started":
                call.agent_version, call.collection = event.started.agent_version, event.started.collection
            elif kind == "finished":
                if event.finished.reason not in BROKEN_OFF:
                    meter.end()
                call.finish(finish_word(event.finished.reason))

    def stop(self, out: list[event_pb.RunEvent], reason: str) -> list[event_pb.RunEvent]:
        """End the run: what was used, and why it ends."""
        call, meter = self._call, self._call.meter
        self.stopped = reason
        call.finish(reason)
        usage = usage_pb2.Usage(
            prompt_tokens=meter.prompt_tokens, completion_tokens=meter.completion_tokens,
            cached_tokens=meter.cached_tokens, cost_nanos=meter.cost_nanos, reasoning_tokens=meter.reasoning_tokens,
        )  # fmt: skip
        budget = call.exceeded.details.get("budget", "") if reason == BUDGET else ""
        return [*out, *ended(call.run_id, self._last_released, usage, reason, call.blocked, budget)]


def ended(
    run_id: str, sequence: int, usage: usage_pb2.Usage, reason: str, found: Finding | None = None, limit: str = ""
) -> list[event_pb.RunEvent]:
    """The last events of a run that the gateway ends, numbered from `sequence` on: what a guard found, if that is why;
    what was used; and the end."""
    finished = event_pb.RunFinished(reason=REASONS[reason], limit=limit)
    events = [
        event_pb.RunEvent(usage=event_pb.UsageReported(usage=usage)),
        event_pb.RunEvent(finished=finished),
    ]
    if found is not None:
        events.insert(0, event_pb.RunEvent(verdict=_verdict(found)))
    for number, event in enumerate(events, sequence + 1):
        event.run_id, event.sequence = run_id, number
        event.create_time.GetCurrentTime()
    return events


def finish_word(reason: run_pb2.FinishReason.ValueType) -> str:
    """A finish reason as usage and audit have it, such as "stop" or "content_filter"."""
    return run_pb2.FinishReason.Name(reason).removeprefix("FINISH_REASON_").lower()


def _verdict(found: Finding) -> event_pb.VerdictGiven:
    reason = f"{found.category}: {found.reason}" if found.reason else found.category
    return event_pb.VerdictGiven(grader=f"guard:{found.guard}", passed=False, score=found.score, reason=reason)
