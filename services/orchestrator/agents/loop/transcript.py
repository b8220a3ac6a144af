"""A run's state as a fold over its events: the same whether they have just happened or were read from the record."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from services.llm.chat import Message, Role
from services.orchestrator.domain.event import (
    ApprovalDecided,
    ApprovalKind,
    ApprovalRequested,
    Body,
    CitationAdded,
    ContextTrimmed,
    Event,
    PassageReference,
    PassagesRetrieved,
    ReasoningDelta,
    Started,
    StepFinished,
    StepKind,
    StepStarted,
    TextDelta,
    ToolCallBegun,
    ToolCallRequested,
    ToolResultReceived,
    UsageReported,
    VerdictGiven,
)
from services.orchestrator.domain.tool import Reason, ToolCall, ToolResult

NOTHING = UsageReported(0, 0)
LEFT_OUT = "[This result was left out, as the conversation had grown too long. Call the tool again if you need it.]"
WRITES = (StepKind.GENERATE, StepKind.REPAIR)


@dataclass(slots=True)
class OpenStep:
    """A step under way. `start` is where its text begins in the answer; `citations` have been added since, and
    `thoughts`: pieces of reasoning."""

    number: int
    kind: StepKind
    start: int
    citations: int = 0
    thoughts: int = 0


@dataclass(slots=True)
class Transcript:
    """What has happened in a run. `text` is the answer so far; `draft` what the model wrote and may have to mend;
    `begun` the ids of the calls that may have been made, where the run `begins` them on record."""

    text: str = ""
    begins: bool = False
    begun: set[str] = field(default_factory=set)
    steps: int = 0
    generations: int = 0
    repairs: int = 0
    open: OpenStep | None = None
    passages: tuple[PassageReference, ...] | None = None
    usage: UsageReported = NOTHING
    reported: UsageReported | None = None
    messages: list[Message] = field(default_factory=list)
    calls: dict[str, ToolCallRequested] = field(default_factory=dict)
    results: dict[str, ToolResult] = field(default_factory=dict)
    draft: StepFinished | None = None
    draft_start: int = 0
    final_citations: int = 0
    verdicts: list[VerdictGiven] = field(default_factory=list)
    requests: dict[str, ApprovalRequested] = field(default_factory=dict)
    decisions: dict[str, ApprovalDecided] = field(default_factory=dict)
    repeats: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _step_calls: list[ToolCall] = field(default_factory=list)
    _unplaced: list[ToolCall] = field(default_factory=list)

    @property
    def pending(self) -> list[ToolCall]:
        """The agent's own calls that have no result yet, in order."""
        return [one.call for one in self.calls.values() if not one.callers and one.call.id not in self.results]

    @property
    def callers(self) -> list[ToolCall]:
        """The calls that are for the caller to run."""
        return [one.call for one in self.calls.values() if one.callers]

    def apply(self, body: Body) -> None:
        """Take in the next event."""
        handle = _HANDLERS.get(type(body))
        if handle is not None:
            handle(self, body)

    def request(self, kind: ApprovalKind, call_id: str = "") -> ApprovalRequested | None:
        """The approval that was asked for, of the run, of the present draft, or of a call."""
        for one in reversed(self.requests.values()):
            if one.kind is kind and (one.call.id if one.call else "") == call_id:
                return one
        return None

    def may_have_been_made(self, call_id: str) -> bool:
        """Of a call without a result, in a step that was under way when the process died."""
        return call_id in self.begun if self.begins else self.open is not None and self.open.kind is StepKind.TOOLS

    def _run(self, body: Started) -> None:
        self.begins = body.begins

    def _say(self, body: TextDelta) -> None:
        self.text += body.text

    def _think(self, _: ReasoningDelta) -> None:
        if self.open is not None:
            self.open.thoughts += 1

    def _cite(self, _: CitationAdded) -> None:
        if self.open is not None:
            self.open.citations += 1
        else:
            self.final_citations += 1

    def _start(self, body: StepStarted) -> None:
        self.steps = body.step
        self.open = OpenStep(body.step, body.kind, len(self.text))

    def _find(self, body: PassagesRetrieved) -> None:
        self.passages = body.passages

    def _report(self, body: UsageReported) -> None:
        self.reported = body

    def _call(self, body: ToolCallRequested) -> None:
        self.calls[body.call.id] = body
        self._step_calls.append(body.call)

    def _begin(self, body: ToolCallBegun) -> None:
        self.begun.add(body.call_id)

    def _trim(self, body: ContextTrimmed) -> None:
        kept = {one.call_id: one.kept for one in body.results}
        for number, message in enumerate(self.messages):
            if message.role is Role.TOOL and message.tool_call_id in kept:
                result = self.results[message.tool_call_id]
                self.messages[number] = replace(message, content=_shortened(result, kept[result.call_id]))

    def _judge(self, body: VerdictGiven) -> None:
        self.verdicts.append(body)

    def _ask(self, body: ApprovalRequested) -> None:
        self.requests[body.approval_id] = body

    def _decide(self, body: ApprovalDecided) -> None:
        self.decisions[body.approval_id] = body
        request = self.requests.get(body.approval_id)
        if request is not None and request.call is not None and body.replacement:
            self._edit(replace(request.call, arguments_json=body.replacement))

    def _edit(self, call: ToolCall) -> None:
        """A person has changed the call's arguments: from here on the model has written these."""
        self.calls[call.id] = replace(self.calls[call.id], call=call)
        for number, message in enumerate(self.messages):
            if any(one.id == call.id for one in message.tool_calls):
                edited = tuple(call if one.id == call.id else one for one in message.tool_calls)
                self.messages[number] = replace(message, tool_calls=edited)

    def _finish(self, step: StepFinished) -> None:
        self.usage += step.usage
        start = self.open.start if self.open else len(self.text)
        self.open = None
        if step.kind not in WRITES:
            return
        self.generations += step.kind is StepKind.GENERATE
        self.repairs += step.kind is StepKind.REPAIR
        calls, self._step_calls = tuple(self._step_calls), []
        if calls:
            self.messages.append(Message(Role.ASSISTANT, step.text, calls))
            self._unplaced = list(calls)
            self.draft = None
        else:
            self.draft, self.draft_start = step, start

    def _result(self, body: ToolResultReceived) -> None:
        result = body.result
        self.results[result.call_id] = result
        call = self.calls.get(result.call_id)
        if call is not None and result.error_reason is not Reason.LIMIT:
            self.repeats[(result.name, canonical(call.call.arguments_json), result.content)] += 1
        # The model reads results in the order of its calls, whichever came first.
        while self._unplaced and (first := self.results.get(self._unplaced[0].id)) is not None:
            self._unplaced.pop(0)
            self.messages.append(Message(Role.TOOL, first.content, tool_call_id=first.call_id, name=first.name))


_HANDLERS: dict[type, Callable[[Transcript, Any], None]] = {
    Started: Transcript._run,
    TextDelta: Transcript._say,
    ReasoningDelta: Transcript._think,
    CitationAdded: Transcript._cite,
    StepStarted: Transcript._start,
    StepFinished: Transcript._finish,
    PassagesRetrieved: Transcript._find,
    UsageReported: Transcript._report,
    ToolCallRequested: Transcript._call,
    ToolCallBegun: Transcript._begin,
    ToolResultReceived: Transcript._result,
    ContextTrimmed: Transcript._trim,
    VerdictGiven: Transcript._judge,
    ApprovalRequested: Transcript._ask,
    ApprovalDecided: Transcript._decide,
}


def _shortened(result: ToolResult, kept: int) -> str:
    """What the model reads of a result for which its context has no room."""
    if kept <= 0:
        return LEFT_OUT
    return f"{result.content[:kept]}\n[cut here, to fit: {kept} of {len(result.content)} characters are shown]"


def fold(events: Iterable[Event]) -> Transcript:
    """The state after these events."""
    transcript = Transcript()
    for event in events:
        transcript.apply(event.body)
    return transcript


def canonical(arguments_json: str) -> str:
    """The same text for the same arguments."""
    try:
        return orjson.dumps(orjson.loads(arguments_json or "{}"), option=orjson.OPT_SORT_KEYS).decode()
    except ValueError:
        return arguments_json
