"""Where a call stands, and that each is settled or abandoned once."""

import asyncio

import pytest

from gateway.calls.call import CallState, ModelCall
from gateway.calls.request import ModelRequest
from services.runtime.call import Call
from tests.fakes.calls import FakePipeline, Settled


@pytest.fixture
def pipeline() -> FakePipeline:
    return FakePipeline()


@pytest.fixture
def call(pipeline: FakePipeline) -> ModelCall:
    return pipeline.admitted(Call("run"), ModelRequest("rag", ("why?",), prompt_tokens=3))


async def test_a_call_that_finishes_is_settled_once(pipeline: FakePipeline, call: ModelCall) -> None:
    assert call.state is CallState.ADMITTED
    call.begin()
    assert (call.state, call.finished) == (CallState.STREAMING, False)
    call.meter.write("four")
    call.finish("length")
    assert (call.state, call.finished) == (CallState.FINISHED, True)
    await call.settle()
    await call.settle()
    call.close("error")
    assert (call.state, call.finished) == (CallState.SETTLED, True)
    assert pipeline.settled == [Settled(3, 1, 0, "length")]
    assert pipeline.released == 0


async def test_a_model_that_is_never_reached_costs_nothing(pipeline: FakePipeline, call: ModelCall) -> None:
    call.close("error")
    call.close("error")
    assert call.state is CallState.ABANDONED
    assert (pipeline.settled, pipeline.released) == ([], 1)
    assert not call.incoming.audited


@pytest.mark.parametrize(("finished", "reason"), [(False, "cancelled"), (True, "stop")])
async def test_a_call_that_is_left_is_settled_in_the_background(
    pipeline: FakePipeline, call: ModelCall, finished: bool, reason: str
) -> None:
    call.begin()
    if finished:
        call.finish("stop")
    call.close("cancelled")
    call.close("cancelled")
    await pipeline.background.aclose()
    assert call.state is CallState.SETTLED
    assert [settled.finish_reason for settled in pipeline.settled] == [reason]
    assert call.incoming.audited


async def test_the_settlement_of_a_call_that_is_left_outlives_its_task(pipeline: FakePipeline, call: ModelCall) -> None:
    async def serve() -> None:
        try:
            call.begin()
            await asyncio.Event().wait()
        finally:
            call.close("cancelled")

    task = asyncio.create_task(serve())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(pipeline.settled) == 1
