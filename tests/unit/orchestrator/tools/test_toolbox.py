"""The toolbox: whatever a tool does, its call becomes a result, in time."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.orchestrator.domain.tool import Reason, ToolFailed, ToolPolicy, ToolResult
from services.orchestrator.tools import metrics
from services.orchestrator.tools.toolbox import Toolbox
from services.runtime.breaker import Breaker
from tests.fakes.serving import until
from tests.fakes.tools import CONTEXT, FakeTool, call

NUMBER = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "deep": {"type": "array", "items": {"type": "string"}}},
    "required": ["n"],
    "additionalProperties": False,
}


def box(tool: FakeTool, **policy: Any) -> Toolbox:
    return Toolbox([tool], {tool.name: ToolPolicy(**policy)})


async def made(tool: FakeTool, arguments: str = "", **policy: Any) -> ToolResult:
    return await box(tool, **policy).call(call(arguments), CONTEXT)


async def test_a_call_gives_what_the_tool_gives() -> None:
    tool = FakeTool("four", parameters=NUMBER)
    result = await made(tool, '{"n": 4}')
    assert result == ToolResult("call_1", "fake", "four", seconds=result.seconds, attempts=1)
    ((arguments, context),) = tool.calls
    assert (arguments, context) == ({"n": 4}, replace(CONTEXT, call_id="call_1"))


@pytest.mark.parametrize("empty", ["", "  ", "{}"])
async def test_no_arguments_are_an_empty_object(empty: str) -> None:
    tool = FakeTool()
    assert not (await made(tool, empty)).is_error
    assert tool.calls[0][0] == {}


@pytest.mark.parametrize(
    ("arguments", "reason", "words"),
    [
        ("{", Reason.INVALID_JSON, "not valid JSON"),
        ("[1]", Reason.INVALID_JSON, "must be a JSON object"),
        ("null", Reason.INVALID_JSON, "must be a JSON object"),
        ('{"n": NaN}', Reason.INVALID_JSON, "not valid JSON"),
        ("[" * 5000, Reason.INVALID_JSON, "not valid JSON"),
        ("{}", Reason.INVALID_ARGUMENTS, "'n' is a required property"),
        ('{"n": "4"}', Reason.INVALID_ARGUMENTS, "$.n: '4' is not of type 'integer'"),
        ('{"n": 4, "deep": ["a", 1]}', Reason.INVALID_ARGUMENTS, "$.deep[1]: 1 is not of type 'string'"),
        ('{"n": 4, "other": 1}', Reason.INVALID_ARGUMENTS, "'other' was unexpected"),
        ('{"n": "' + "x" * 5000 + '"}', Reason.INVALID_ARGUMENTS, "…"),
        (" " * (2 << 20), Reason.INVALID_ARGUMENTS, "characters long"),
    ],
)
async def test_wrong_arguments_never_reach_the_tool(arguments: str, reason: Reason, words: str) -> None:
    tool = FakeTool(parameters=NUMBER)
    result = await made(tool, arguments)
    assert (result.is_error, result.error_reason, result.attempts, tool.calls) == (True, reason, 0, [])
    assert words in result.content
    assert len(result.content) < 1000
    assert box(tool).check(call(arguments)) == replace(result, seconds=0)


async def test_an_unknown_tool_is_told_with_those_there_are() -> None:
    result = await box(FakeTool()).call(call(name="nope"), CONTEXT)
    assert (result.error_reason, result.attempts) == (Reason.UNKNOWN_TOOL, 0)
    assert "'nope'" in result.content
    assert "fake" in result.content


async def test_a_reference_in_a_schema_is_never_fetched() -> None:
    tool = FakeTool(parameters={"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/schema"}}})
    assert (await made(tool, '{"a": 1}')).error_reason == Reason.INTERNAL


@pytest.mark.parametrize(
    "parameters", [{"type": "string"}, {"type": 7}, {"type": "object", "properties": 1}, {"type": "object", "$ref": 3}]
)
def test_a_schema_that_is_none_is_refused(parameters: Mapping[str, Any]) -> None:
    with pytest.raises(ValueError, match="the schema of the tool 'fake'"):
        Toolbox([FakeTool(parameters=parameters)])


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "naïve", "a\n"])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a tool"):
        Toolbox([FakeTool(name=name)])


def test_a_name_is_used_once() -> None:
    with pytest.raises(ValueError, match="two tools"):
        Toolbox([FakeTool(), FakeTool()])


async def raises(arguments: Mapping[str, Any]) -> str:
    raise RuntimeError("secret of the machine")


async def test_an_exception_is_told_in_general_words_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    result = await made(FakeTool(raises, idempotent=True), attempts=3)
    assert (result.error_reason, result.attempts) == (Reason.INTERNAL, 1)
    assert "secret" not in result.content
    assert "secret of the machine" in caplog.text
    identifier = result.content.split("error ")[1].split()[0]
    assert identifier in caplog.text


async def cancels_itself(arguments: Mapping[str, Any]) -> str:
    raise asyncio.CancelledError


async def test_a_tool_that_cancels_itself_does_not_cancel_its_caller() -> None:
    assert (await made(FakeTool(cancels_itself))).error_reason == Reason.INTERNAL


async def hangs(arguments: Mapping[str, Any]) -> str:
    await asyncio.Event().wait()
    return ""


async def test_a_tool_that_hangs_times_out() -> None:
    result = await made(FakeTool(hangs), timeout=0.05)
    assert (result.error_reason, result.attempts) == (Reason.TIMEOUT, 1)
    assert "0.05 seconds" in result.content


async def test_a_tool_that_ignores_its_cancellation_does_not_hold_its_caller() -> None:
    release = asyncio.Event()

    async def stubborn(arguments: Mapping[str, Any]) -> str:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return "late"

    started = time.monotonic()
    result = await made(FakeTool(stubborn), timeout=0.05)
    assert result.error_reason == Reason.TIMEOUT
    assert time.monotonic() - started < 2
    assert REGISTRY.get_sample_value("headworks_tool_calls_stuck") == 1
    release.set()
    await until(lambda: REGISTRY.get_sample_value("headworks_tool_calls_stuck") == 0)


async def test_a_cancelled_caller_cancels_the_tool() -> None:
    begun, left = asyncio.Event(), asyncio.Event()

    async def slow(arguments: Mapping[str, Any]) -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        return ""

    calling = asyncio.create_task(made(FakeTool(slow)))
    await begun.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert left.is_set()


async def test_the_end_of_the_run_ends_the_call() -> None:
    late = replace(CONTEXT, deadline=time.monotonic() + 0.05)
    result = await box(FakeTool(hangs)).call(call(), late)
    assert (result.error_reason, result.attempts) == (Reason.TIMEOUT, 1)
    over = await box(FakeTool(hangs)).call(call(), replace(CONTEXT, deadline=time.monotonic() - 1))
    assert "time is over" in over.content


class Flaky:
    """Fails `times` times, then answers."""

    def __init__(self, times: int, *, retryable: bool = True) -> None:
        self.times = times
        self.retryable = retryable

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        self.times -= 1
        if self.times >= 0:
            raise ToolFailed("not now", retryable=self.retryable, reason=Reason.UNAVAILABLE)
        return "at last"


@pytest.mark.parametrize(
    ("idempotent", "retryable", "attempts", "failures", "tried", "reason"),
    [
        (True, True, 3, 2, 3, None),
        (True, True, 3, 5, 3, Reason.UNAVAILABLE),
        (True, True, 1, 1, 1, Reason.UNAVAILABLE),
        (False, True, 3, 1, 1, Reason.UNAVAILABLE),
        (True, False, 3, 1, 1, Reason.UNAVAILABLE),
    ],
)
async def test_only_what_may_be_tried_again_is(
    idempotent: bool, retryable: bool, attempts: int, failures: int, tried: int, reason: Reason | None
) -> None:
    tool = FakeTool(Flaky(failures, retryable=retryable), idempotent=idempotent)
    result = await made(tool, attempts=attempts)
    assert (result.attempts, len(tool.calls), result.error_reason) == (tried, tried, reason)


async def test_no_retry_begins_after_the_end_of_the_run() -> None:
    tool = FakeTool(Flaky(5), idempotent=True)
    near = replace(CONTEXT, deadline=time.monotonic() + 0.04)  # sooner than the first pause
    result = await box(tool, attempts=5).call(call(), near)
    assert (result.attempts, result.error_reason) == (1, Reason.UNAVAILABLE)


async def test_a_long_result_is_cut_and_says_so() -> None:
    result = await made(FakeTool("x" * 10_000_000), result_limit=100)
    assert result.truncated
    assert not result.is_error
    assert result.content == "x" * 100 + "\n[cut here: 100 of 10000000 characters are shown]"


async def test_a_long_error_is_cut_too() -> None:
    async def failing(arguments: Mapping[str, Any]) -> str:
        raise ToolFailed("y" * 1000)

    result = await made(FakeTool(failing), result_limit=100)
    assert result.truncated
    assert len(result.content) < 200


@pytest.mark.parametrize(("answer", "good"), [('{"a": 1}', True), ("{", False), ("", False)])
async def test_a_result_that_should_be_json_is_checked(answer: str, good: bool) -> None:
    result = await made(FakeTool(answer, json=True))
    assert result.error_reason == (None if good else Reason.INVALID_RESULT)


async def test_a_result_that_is_no_text_is_an_error() -> None:
    async def wrong(arguments: Mapping[str, Any]) -> Any:
        return {"a": 1}

    assert (await made(FakeTool(wrong))).error_reason == Reason.INVALID_RESULT


async def test_what_no_store_can_hold_is_replaced() -> None:
    result = await made(FakeTool("a\0b\ud800c"))
    assert result.content == "a\ufffdb?c"
    result.content.encode()


async def test_calls_are_counted() -> None:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    toolbox = Toolbox([FakeTool(name="counted"), FakeTool(raises, name="broken")])
    for name in ("counted", "broken", "made_up_by_a_model"):
        await toolbox.call(call(name=name), CONTEXT)
    assert value("headworks_tool_calls_total", tool="counted") == 1
    assert value("headworks_tool_errors_total", tool="counted", reason="INTERNAL") == 0
    assert value("headworks_tool_errors_total", tool="broken", reason="INTERNAL") == 1
    assert value("headworks_tool_seconds_count", tool="counted") == 1
    assert value("headworks_tool_calls_total", tool="made_up_by_a_model") == 0
    assert value("headworks_tool_errors_total", tool="other", reason="UNKNOWN_TOOL") >= 1


def test_the_names_that_are_told_apart_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_names", set())
    labels = {metrics.label(f"tool_{number}") for number in range(1000)}
    assert len(labels) == metrics.MAX_NAMES + 1
    assert metrics.label("tool_0") == "tool_0"


async def test_what_fails_again_and_again_is_left_alone_for_a_while() -> None:
    clock = SimpleNamespace(now=100.0)
    deeds: list[Exception | str] = [ToolFailed("gone", reason=Reason.UNAVAILABLE)] * 2

    async def answer(_: Mapping[str, Any]) -> str:
        deed = deeds.pop(0)
        if isinstance(deed, Exception):
            raise deed
        return deed

    tool = FakeTool(answer)
    tool.breaker = Breaker(lambda: clock.now, share=0.5, least=2)  # type: ignore[attr-defined]
    for _ in range(2):
        assert (await made(tool)).error_reason == Reason.UNAVAILABLE
    left = await made(tool)
    assert (left.error_reason, len(tool.calls)) == (Reason.UNAVAILABLE, 2)
    assert "left alone" in left.content
    clock.now += 1
    deeds += ["well", "well"]
    assert [(await made(tool)).content for _ in range(2)] == ["well", "well"]


async def test_a_tool_that_says_no_is_well() -> None:
    async def refuses(_: Mapping[str, Any]) -> str:
        raise ToolFailed("no such thing")

    tool = FakeTool(refuses)
    tool.breaker = Breaker(share=0.5, least=2)  # type: ignore[attr-defined]
    for _ in range(4):
        assert (await made(tool)).error_reason == Reason.FAILED
    assert len(tool.calls) == 4
