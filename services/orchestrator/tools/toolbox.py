"""The tools of one agent, and how they are called: each call becomes a result, whatever happens."""

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import orjson

from services.orchestrator.domain.tool import (
    NAME,
    Declaration,
    Reason,
    Tool,
    ToolCall,
    ToolContext,
    ToolFailed,
    ToolPolicy,
    ToolResult,
)
from services.orchestrator.tools import metrics
from services.orchestrator.tools.arguments import ArgumentSchema
from services.orchestrator.tools.json_results import cut_json
from services.runtime import tracing
from services.runtime.breaker import Breaker
from services.runtime.fairness import FairLimit, Full

FIRST_BACKOFF = 0.1
LONGEST_BACKOFF = 5.0
# The longest wait for a place, in seconds; a run's own end may come before.
WAIT = 60.0
# How long a cancelled tool may take to leave before its caller goes on without it.
GRACE = 0.25

# Of what is called, and not of the call.
GONE = frozenset((Reason.TIMEOUT, Reason.UNAVAILABLE))

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Entry:
    tool: Tool
    policy: ToolPolicy
    schema: ArgumentSchema

    @property
    def places(self) -> FairLimit | None:
        return getattr(self.tool, "places", None)

    @property
    def breaker(self) -> Breaker | None:
        return getattr(self.tool, "breaker", None)


class Toolbox:
    """The tools that an agent has, by name. It has no state of a run and may be shared by runs."""

    def __init__(self, tools: Sequence[Tool], policies: Mapping[str, ToolPolicy] | None = None) -> None:
        """`policies` by the tool's name; a tool without one has the default. Raises ValueError: a name that is bad or
        used twice, a schema that is none."""
        given = policies or {}
        entries: dict[str, _Entry] = {}
        for tool in tools:
            name = tool.declaration.name
            if not NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a tool: 1 to 64 letters, digits, _ and -")
            if name in entries:
                raise ValueError(f"two tools are called {name!r}")
            entries[name] = _Entry(tool, given.get(name, ToolPolicy()), _schema(tool.declaration))
        self._entries: Mapping[str, _Entry] = MappingProxyType(entries)

    @property
    def declarations(self) -> list[Declaration]:
        """What the model is told, in the order of the spec."""
        return [entry.tool.declaration for entry in self._entries.values()]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def policy(self, name: str) -> ToolPolicy:
        """KeyError for a tool that is not there."""
        return self._entries[name].policy

    def idempotent(self, name: str) -> bool:
        """A call of the tool that may have been made can be made again. KeyError for a tool that is not there."""
        return self._entries[name].tool.idempotent

    def check(self, call: ToolCall) -> ToolResult | None:
        """The error result of a call that can be known to be wrong without making it; None for a good one."""
        try:
            self._prepare(call)
        except ToolFailed as error:
            return _failed(call, error)
        return None

    async def call(self, call: ToolCall, context: ToolContext) -> ToolResult:
        """Make a call. Raises what `context.begin` does, and CancelledError; then the tool is cancelled too, or was not
        called. Returns within the tool's timeout (and GRACE) for each attempt, and WAIT for its place, even where the
        tool does not heed its cancellation."""
        started = time.monotonic()
        try:
            entry, arguments = self._prepare(call)
        except ToolFailed as error:
            result = _failed(call, error)
        else:
            with tracing.span(f"execute_tool {call.name}") as span:
                result = await _attempts(entry, call, arguments, replace(context, call_id=call.id))
                tracing.describe(span, _attributes(result))
        result = replace(result, seconds=time.monotonic() - started)
        metrics.called(result, known=call.name in self._entries)
        return result

    def _prepare(self, call: ToolCall) -> tuple[_Entry, dict[str, Any]]:
        entry = self._entries.get(call.name)
        if entry is None:
            names = ", ".join(self._entries) or "none"
            raise ToolFailed(
                f"there is no tool {call.name[:100]!r}; the tools are: {names}", reason=Reason.UNKNOWN_TOOL
            )
        return entry, entry.schema.parse(call.arguments_json)


async def _attempts(entry: _Entry, call: ToolCall, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    attempts = max(1, entry.policy.attempts) if entry.tool.idempotent else 1
    attempt = 0
    while True:
        attempt += 1
        try:
            content = await _attempt(entry, arguments, context)
            return _succeeded(call, entry, content, attempt)
        except ToolFailed as error:
            pause = _backoff(attempt)
            if not error.retryable or attempt >= attempts or time.monotonic() + pause >= context.deadline:
                return replace(_failed(call, error, entry.policy.result_limit), attempts=attempt)
        await asyncio.sleep(pause)


async def _attempt(entry: _Entry, arguments: dict[str, Any], context: ToolContext) -> str:
    """One attempt, in the place that it needs. Raises ToolFailed."""
    left, places = _time_left(context), entry.places
    if places is None:
        return await _placed(entry, arguments, context)
    try:
        async with places.place((context.tenant, context.run_id), seconds=min(left, WAIT)):
            return await _placed(entry, arguments, context)
    except Full as error:
        name = entry.tool.declaration.name
        raise ToolFailed(f"the tool {name!r} is busy; try again later", reason=Reason.UNAVAILABLE) from error


async def _placed(entry: _Entry, arguments: dict[str, Any], context: ToolContext) -> str:
    """One attempt, judged by the breaker of what is called. Raises ToolFailed."""
    breaker = entry.breaker
    if breaker is None:
        return await _made(entry, arguments, context)
    if not breaker.admits():
        name = entry.tool.declaration.name
        raise ToolFailed(
            f"the tool {name!r} is left alone, for its last calls failed; the next try is in {breaker.left:.1f} s",
            reason=Reason.UNAVAILABLE,
        )
    try:
        content = await _made(entry, arguments, context)
    except ToolFailed as error:
        if error.reason in GONE:
            breaker.failed()
        else:
            breaker.succeeded()
        raise
    breaker.succeeded()
    return content


async def _made(entry: _Entry, arguments: dict[str, Any], context: ToolContext) -> str:
    """One attempt, in a task of its own. Raises ToolFailed."""
    if not entry.tool.idempotent:
        await context.begin()
    timeout = min(entry.policy.timeout, _time_left(context))
    task = asyncio.create_task(entry.tool.call(arguments, context))
    try:
        done, _ = await asyncio.wait({task}, timeout=timeout)
    except asyncio.CancelledError:
        await _leave(task)
        raise
    if not done:
        await _leave(task)
        raise ToolFailed(f"the tool did not answer within {timeout:.3g} seconds", retryable=True, reason=Reason.TIMEOUT)
    try:
        return _text(task.result(), entry)
    except ToolFailed:
        raise
    except (Exception, asyncio.CancelledError) as error:  # a CancelledError of its own making, not of this task's
        identifier = uuid.uuid4().hex[:12]
        log.exception("tool %s broke (%s)", entry.tool.declaration.name, identifier, exc_info=error)
        raise ToolFailed(f"the tool broke; error {identifier} in the log", reason=Reason.INTERNAL) from error


def _time_left(context: ToolContext) -> float:
    """Seconds until the run's end. Raises ToolFailed where there are none."""
    left = context.deadline - time.monotonic()
    if left <= 0:
        raise ToolFailed("the run's time is over", reason=Reason.TIMEOUT)
    return left


_stuck: set[asyncio.Task[Any]] = set()


async def _leave(task: "asyncio.Task[Any]") -> None:
    """Cancel the task and wait GRACE for it; one that stays is left to itself, and counted."""
    task.cancel()
    try:
        await asyncio.wait({task}, timeout=GRACE)
    finally:
        if not task.done():
            _stuck.add(task)
            metrics.STUCK.inc()
        task.add_done_callback(_gone)


def _gone(task: "asyncio.Task[Any]") -> None:
    if task in _stuck:
        _stuck.discard(task)
        metrics.STUCK.dec()
    if not task.cancelled():
        task.exception()


def _text(content: object, entry: _Entry) -> str:
    """The result as text that every store and message can hold."""
    if not isinstance(content, str):
        raise ToolFailed("the tool's result is not text", reason=Reason.INVALID_RESULT)
    if entry.tool.declaration.json and len(content) <= entry.policy.result_limit:
        try:
            orjson.loads(content)
        except ValueError as error:
            raise ToolFailed("the tool's result is not valid JSON", reason=Reason.INVALID_RESULT) from error
    return _clean(content)


def _clean(text: str) -> str:
    """Without what UTF-8 and databases cannot hold: surrogates and NUL."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _attributes(result: ToolResult) -> tracing.Attributes:
    return {
        "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": result.name, "gen_ai.tool.call.id": result.call_id,
        "error.type": result.error_reason.value if result.error_reason else None,
        "headworks.attempts": result.attempts,
    }  # fmt: skip


def _succeeded(call: ToolCall, entry: _Entry, content: str, attempts: int) -> ToolResult:
    limit = entry.policy.result_limit
    shorter = cut_json(content, limit) if entry.tool.declaration.json and len(content) > limit else None
    text, truncated = (shorter, True) if shorter is not None else _cut(content, limit)
    return ToolResult(call.id, call.name, text, attempts=attempts, truncated=truncated)


def _failed(call: ToolCall, error: ToolFailed, limit: int = ToolPolicy().result_limit) -> ToolResult:
    text, truncated = _cut(_clean(error.message), limit)
    return ToolResult(call.id, call.name, f"Error: {text}", True, error.reason, truncated=truncated)


def _cut(text: str, limit: int) -> tuple[str, bool]:
    if len(text) <= limit:
        return text, False
    return f"{text[:limit]}\n[cut here: {limit} of {len(text)} characters are shown]", True


def _backoff(attempt: int) -> float:
    """Seconds before the next attempt: doubled each time, and a random share of it, so that callers spread."""
    return min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1)  # noqa: S311 (no secret)


def _schema(declaration: Declaration) -> ArgumentSchema:
    try:
        return ArgumentSchema(declaration.parameters)
    except ValueError as error:
        raise ValueError(f"the schema of the tool {declaration.name!r}: {error}") from error
