"""Limits of a run: what they leave, and which one has been reached."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from services.llm.catalogue.entry import CatalogueEntry
from services.llm.price import MILLION
from services.orchestrator.agents.loop.transcript import Transcript
from services.orchestrator.agents.specs.spec import RunLimits
from services.orchestrator.domain.event import ApprovalDecided, ApprovalRequested, Event
from services.orchestrator.domain.tool import Reason, ToolCall

STEPS = "steps"
SECONDS = "seconds"
TOKENS = "tokens"
COST = "cost"
TOOL_CALLS = "tool_calls"
REPETITION = "repetition"
# After these the model may still say what it has; the others leave nothing to say it with.
SOFT = (STEPS, TOOL_CALLS, REPETITION, "calls:")
NANOS = 1_000_000_000


class Clock:
    """How long the run has worked: wall time since it began, without the time spent waiting for people."""

    def __init__(self, events: Sequence[Event]) -> None:
        before = _worked(events)
        self._started = time.monotonic() - before
        self._waited = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds."""
        return time.monotonic() - self._started - self._waited

    def ends(self, seconds: float | None) -> float | None:
        """When so much work is done, on the monotonic clock."""
        return None if seconds is None else self._started + self._waited + seconds

    def waited(self, seconds: float) -> None:
        """Leave out so many seconds."""
        self._waited += seconds


def reached(limits: RunLimits, state: Transcript, elapsed: float) -> str:
    """The limit that ends the run before the model is asked again; empty for none."""
    if limits.seconds is not None and elapsed >= limits.seconds:
        return SECONDS
    if limits.tokens is not None and _tokens(state) >= limits.tokens:
        return TOKENS
    if limits.cost is not None and state.usage.cost_nanos >= limits.cost * NANOS:
        return COST
    refused = next((one for one in state.results.values() if one.error_reason is Reason.LIMIT), None)
    if refused is not None:
        made = sum(one.error_reason is not Reason.LIMIT for one in state.results.values())
        return TOOL_CALLS if made >= limits.tool_calls else f"calls:{refused.name}"
    if any(count >= limits.repetitions for count in state.repeats.values()):
        return REPETITION
    return STEPS if state.generations >= limits.steps else ""


def recorded(limits: RunLimits, state: Transcript) -> str:
    """The limit that had been reached in a run that is picked up; empty for none."""
    limit = reached(limits, state, 0)
    if state.draft is None or (limit == STEPS and state.generations <= limits.steps):
        return ""
    return limit


def soft(limit: str) -> bool:
    """The model may be asked once more, to answer with what it has."""
    return limit.startswith(SOFT)


def refusals(
    limits: RunLimits, per_tool: Mapping[str, int], state: Transcript, calls: Sequence[ToolCall]
) -> dict[str, str]:
    """The calls, by id, that may not be made any more, and why, in words for the model."""
    made = [one.name for one in state.results.values() if one.error_reason is not Reason.LIMIT]
    refused: dict[str, str] = {}
    for call in calls:
        most = min(limits.calls.get(call.name, limits.tool_calls), per_tool.get(call.name, limits.tool_calls))
        if made.count(call.name) >= most:
            refused[call.id] = f"the tool {call.name!r} may be called {most} times in a run, and has been"
        elif len(made) >= limits.tool_calls:
            refused[call.id] = f"tools may be called {limits.tool_calls} times in a run, and have been"
        else:
            made.append(call.name)
    return refused


def room(limits: RunLimits, state: Transcript, entry: CatalogueEntry, prompt_tokens: int) -> int | None:
    """Tokens that the model may write after a prompt of so many; None for no limit, 0 where it cannot be asked."""
    rooms: list[int] = []
    if limits.tokens is not None:
        rooms.append(limits.tokens - _tokens(state) - prompt_tokens)
    if limits.cost is not None and (entry.price.input_nanos or entry.price.output_nanos):
        left = int(limits.cost * NANOS) - state.usage.cost_nanos
        left -= entry.price.nanos(prompt_tokens, 0)
        rooms.append(left * MILLION // entry.price.output_nanos if entry.price.output_nanos else left and 1 << 30)
    return max(0, min(rooms)) if rooms else None


def _tokens(state: Transcript) -> int:
    return state.usage.prompt_tokens + state.usage.completion_tokens


def _worked(events: Sequence[Event]) -> float:
    """Seconds from the first event until now, without the waits that are over."""
    if not events:
        return 0.0
    asked: dict[str, float] = {}
    waited = 0.0
    for event in events:
        if isinstance(event.body, ApprovalRequested):
            asked[event.body.approval_id] = event.time
        elif isinstance(event.body, ApprovalDecided) and event.body.approval_id in asked:
            waited += event.time - asked.pop(event.body.approval_id)
    now = datetime.now(UTC).timestamp()
    if asked:
        waited += now - min(asked.values())
    return max(0.0, now - events[0].time - waited)
