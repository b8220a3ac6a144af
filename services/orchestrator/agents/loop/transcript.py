"""A run's state as a fold over its events: the same whether they have just happened or were read from the record."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from services.llm.chat import Message, Role
from services.orchestrator.domain.event import (
    ApprovalDecided,
    ApprovalKind,
    ApprovalRequested,
    Body,
    CitationAdded,
    Event,
    PassageReference,
    PassagesRetrieved,
    ReasoningDelta,
    StepFinished,
    StepKind,
    StepStarted,
    TextDelta,
    ToolCallRequested,
    ToolResultReceived,
    UsageReported,
    VerdictGiven,
)
from services.orchestrator.domain.tool import Reason, ToolCall, ToolResult

NOTHING = UsageReported(0, 0)
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
    """What has happened in a run. `text` is the answer so far; `drafts` what the model wrote and may have to mend."""

    text: str = ""
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

    def _judge(self, body: VerdictGiven) -> None:
        self.verdicts.append(body)

    def _ask(self, body: ApprovalRequested) -> None:
        self.requests[body.approval_id] = body

    def _decide(self, body: ApprovalDecided) -> None:
        self.decisions[body.approval_id] = body

    def _finish(self, step: StepFinished) -> None:
        usage, of = self.usage, step.usage
        self.usage = UsageReported(
            usage.prompt_tokens + of.prompt_tokens,
            usage.completion_tokens + of.completion_tokens,
            usage.cached_tokens + of.cached_tokens,
            usage.cost_nanos + of.cost_nanos,
        )
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
    TextDelta: Transcript._say,
    ReasoningDelta: Transcript._think,
    CitationAdded: Transcript._cite,
    StepStarted: Transcript._start,
    StepFinished: Transcript._finish,
    PassagesRetrieved: Transcript._find,
    UsageReported: Transcript._report,
    ToolCallRequested: Transcript._call,
    ToolResultReceived: Transcript._result,
    VerdictGiven: Transcript._judge,
    ApprovalRequested: Transcript._ask,
    ApprovalDecided: Transcript._decide,
}


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
