"""Tokens as they pass."""

import pytest
from headworks.orchestrator.v1 import run_event_pb2 as pb
from headworks.orchestrator.v1 import run_pb2, tool_pb2
from headworks.type.v1 import usage_pb2

from gateway.calls.request import ModelRequest
from gateway.calls.run_answer import RunAnswer
from services.llm.price import FREE, Price
from services.llm.tokens import estimate
from services.runtime.call import Call
from tests.fakes.calls import FakePipeline


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("four", 1), ("fives", 2), ("水", 1), ("四个汉字", 4)])
def test_about_how_many_tokens_a_text_is(text: str, tokens: int) -> None:
    assert estimate(text) == tokens


def text(piece: str, tokens: int = 0) -> pb.RunEvent:
    return pb.RunEvent(text=pb.TextDelta(text=piece, tokens=tokens))


def used(read: int, written: int, cost: int = 0) -> pb.RunEvent:
    usage = usage_pb2.Usage(prompt_tokens=read, completion_tokens=written, cost_nanos=cost)
    return pb.RunEvent(usage=pb.UsageReported(usage=usage))


class Run:
    """A run of which events come."""

    def __init__(self, prompt_tokens: int, price: Price = FREE) -> None:
        request = ModelRequest("rag", (), prompt_tokens=prompt_tokens)
        self._call = FakePipeline().admitted(Call("run"), request, price)
        self._answer = RunAnswer(self._call)

    def take(self, events: list[pb.RunEvent]) -> None:
        self._answer.count(events)

    @property
    def counted(self) -> tuple[int, int, int]:
        meter = self._call.meter
        return meter.prompt_tokens, meter.completion_tokens, meter.cost_nanos


def test_what_is_estimated_gives_way_to_what_is_known() -> None:
    run = Run(10, Price(1_000_000, 2_000_000))
    assert run.counted == (10, 0, 10)
    run.take([text("eight ch"), text("known", 7)])
    assert run.counted == (10, 9, 28)
    run.take([used(12, 8, 40), text("four")])
    assert run.counted == (12, 9, 42)
    run.take([used(30, 20, 90)])
    assert run.counted == (30, 20, 90)


def test_how_an_answer_is_cut_does_not_change_its_price() -> None:
    answer = "The answer, as it comes, has more pieces than it has tokens by the estimate. " * 11
    whole, pieces = Run(10, Price(1_000_000, 2_000_000)), Run(10, Price(1_000_000, 2_000_000))
    whole.take([text(answer)])
    for at in range(0, len(answer), 5):
        pieces.take([text(answer[at : at + 5])])
    assert pieces.counted == whole.counted == (10, estimate(answer), 10 + 2 * estimate(answer))


@pytest.mark.parametrize("callers", [False, True])
def test_the_calls_that_a_model_writes_are_counted_until_they_are_reported(callers: bool) -> None:
    run = Run(10)
    call = tool_pb2.ToolCall(id="c1", name="find", arguments='{"words": "water"}')
    run.take([pb.RunEvent(tool_call=pb.ToolCallRequested(call=call, callers=callers))])
    assert run.counted == (10, 6, 0)
    run.take([used(30, 20)])
    assert run.counted == (30, 20, 0)


def test_a_model_that_reads_nothing() -> None:
    run = Run(10)
    run.take([used(0, 5)])
    assert run.counted == (0, 5, 0)


@pytest.mark.parametrize(
    ("reason", "written"), [(run_pb2.FINISH_REASON_NO_ANSWER, 5), (run_pb2.FINISH_REASON_CANCELLED, 7)]
)
def test_a_run_at_its_end_has_told_all(reason: run_pb2.FinishReason.ValueType, written: int) -> None:
    run = Run(10)
    run.take([used(10, 5), text("nothing."), pb.RunEvent(finished=pb.RunFinished(reason=reason))])
    assert run.counted == (10, written, 0)


def test_a_run_that_used_nothing() -> None:
    run = Run(10)
    run.take([pb.RunEvent(finished=pb.RunFinished(reason=run_pb2.FINISH_REASON_STOP))])
    assert run.counted == (0, 0, 0)


def asks(prompt_tokens: int) -> pb.RunEvent:
    return pb.RunEvent(step_started=pb.StepStarted(step=1, prompt_tokens=prompt_tokens))


@pytest.mark.parametrize("reason", [run_pb2.FINISH_REASON_CANCELLED, run_pb2.FINISH_REASON_DEADLINE_EXCEEDED])
def test_who_leaves_pays_for_what_the_model_was_really_sent(reason: run_pb2.FinishReason.ValueType) -> None:
    end = pb.RunEvent(finished=pb.RunFinished(reason=reason))
    run = Run(10, Price(1_000_000, 2_000_000))
    run.take([asks(0), asks(500), text("four")])
    assert run.counted == (500, 1, 502)
    run.take([end])
    assert run.counted == (500, 1, 502)
    later = Run(10, Price(1_000_000, 2_000_000))
    later.take([asks(500), used(480, 20, 520), asks(0), asks(700), text("four"), end])
    assert later.counted == (1180, 21, 1222)


def test_what_a_step_sends_gives_way_to_what_is_reported() -> None:
    run = Run(10)
    run.take([asks(500), used(480, 20), asks(700), used(1100, 40)])
    assert run.counted == (1100, 40, 0)
    refused = Run(10)
    refused.take([asks(500), used(0, 0), pb.RunEvent(finished=pb.RunFinished(reason=run_pb2.FINISH_REASON_ERROR))])
    assert refused.counted == (0, 0, 0)
