"""A run's events, held back until the text in them is decided.

An event goes out when all the text up to its own place is decided, and as it will stay: events keep their order and
their sequence numbers, and a reader that comes back after one of them has missed nothing of what was before it.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from headworks.orchestrator.v1 import run_event_pb2 as event_pb
from headworks.orchestrator.v1 import tool_pb2

from gateway.guard.finding import Finding
from gateway.guard.stream import OutputStream, Released

UNDECIDED = sys.maxsize


@dataclass(slots=True)
class _Held:
    """An event, and the end of the text that must be decided before it goes out."""

    event: event_pb.RunEvent
    end: int


class EventScreen:
    """`released` screens a text that is no part of the answer. `findings` are those of the answer and of the calls that
    it hands to the caller, so far; once `blocked` is set nothing more comes out."""

    def __init__(self, stream: OutputStream, released: Callable[[str], Released]) -> None:
        self._stream = stream
        self._screen = released
        self._held: deque[_Held] = deque()
        self._calls: list[_Held] = []
        self._length = 0
        self._released = ""
        self._given = 0
        self.findings: list[Finding] = []
        self.blocked: Finding | None = None

    def take(self, events: Iterable[event_pb.RunEvent]) -> list[event_pb.RunEvent]:
        """Take the next events; returns those that may go out, which are changed in place."""
        for event in events:
            if self.blocked is not None:
                break
            kind = event.WhichOneof("event")
            if kind == "text":
                self._length += len(event.text.text)
                self._hear(self._stream.feed(event.text.text))
            elif kind == "finished":
                self._hear(self._stream.finish())
            elif kind == "tool_call" and event.tool_call.callers:
                self._hand_over(event.tool_call.call)
                if self.blocked is not None:
                    break
                self._calls.append(_Held(event, UNDECIDED))
                self._held.append(self._calls[-1])
                continue
            else:
                self._cover(kind, event)
            self._decide_calls()
            self._held.append(_Held(event, self._length))
        due = self._due()
        return due if self.blocked is None else due + self._last()

    def _decide_calls(self) -> None:
        """The calls of one answer go out together, or not at all: here is something that comes after them."""
        for held in self._calls:
            held.end = self._length
        self._calls.clear()

    def _hear(self, released: Released) -> None:
        self._released += released.text
        self.findings += released.findings
        self.blocked = self.blocked or released.blocked

    def _due(self) -> list[event_pb.RunEvent]:
        due: list[event_pb.RunEvent] = []
        while self._held and self._held[0].end <= self._stream.released_until:
            held = self._held.popleft()
            event, end = held.event, held.end
            kind = event.WhichOneof("event")
            if kind == "text":
                event.text.text = self._slice(end)
            elif kind == "citation":
                span = event.citation.answer_span
                span.start, span.end = self._stream.shift(span.start), self._stream.shift(span.end)
            due.append(event)
        return due

    def _last(self) -> list[event_pb.RunEvent]:
        """What was decided of the event in which the block is."""
        if not self._released or not self._held:
            return []
        event = self._held[0].event
        if event.WhichOneof("event") != "text":
            return []
        event.text.text, self._released = self._released, ""
        return [event]

    def _slice(self, end: int) -> str:
        """The released text from the last event's end to that place of the original."""
        until = self._stream.shift(end)
        text = self._released[: until - self._given]
        self._released = self._released[until - self._given :]
        self._given = until
        return text

    def _hand_over(self, call: tool_pb2.ToolCall) -> None:
        """A call that the caller is to make goes out as it may be made, or ends the answer."""
        released = self._screen(call.arguments)
        call.arguments = released.text
        self.findings += released.findings
        self.blocked = released.blocked

    def _whole(self, text: str) -> str:
        """What may be shown of a text beside the answer: nothing of one that is blocked."""
        released = self._screen(text)
        return "" if released.blocked is not None else released.text

    def _cover(self, kind: str | None, event: event_pb.RunEvent) -> None:
        """Texts that events carry beside the answer."""
        match kind:
            case "step_finished" if event.step_finished.text:
                event.step_finished.text = self._whole(event.step_finished.text)
            case "tool_result" if event.tool_result.content:
                event.tool_result.content = self._whole(event.tool_result.content)
            case "tool_call" if event.tool_call.call.arguments:
                event.tool_call.call.arguments = self._whole(event.tool_call.call.arguments)
            case "approval_request":
                event.approval_request.draft = self._whole(event.approval_request.draft)
                if event.approval_request.HasField("call"):
                    call = event.approval_request.call
                    call.arguments = self._whole(call.arguments)
            case "verdict" if event.verdict.sentences:
                event.verdict.sentences[:] = [self._whole(sentence) for sentence in event.verdict.sentences]
