"""The generator over Triton's language model, against Triton's protocol."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import grpc
import pytest

from services.llm.catalogue.entry import CatalogueEntry, EngineKind
from services.llm.chat import (
    Choice,
    Form,
    Message,
    Priority,
    ResponseFormat,
    Role,
    Sampling,
    ToolChoice,
)
from services.llm.generation import Calls, Ended, Finish, Generation, Piece, Said, TokenCounts
from services.llm.routing.generator import RoutedGenerator
from services.llm.routing.route import own_route
from services.llm.routing.target import Target
from services.llm.triton.client import LlmClient
from services.llm.triton.engine import TritonEngine
from services.orchestrator.domain.tool import Declaration, ToolCall
from services.runtime import call as calls
from services.runtime.call import Call
from services.runtime.errors import DomainError, ErrorKind
from tests.fakes.serving import channel_for, until
from tests.fakes.triton_llm import HOLD, FakeTritonLlm, finish

ASKED = Generation((Message(Role.USER, "why?"),))
TOOL = Declaration("add", "Adds.", {"type": "object"})


@asynccontextmanager
async def generator_of(triton: FakeTritonLlm, timeout: float = 30, lora: str = "") -> AsyncIterator[RoutedGenerator]:
    async with channel_for(triton) as channel:
        llm = LlmClient(channel, streams=1)
        try:
            route = own_route(Target(CatalogueEntry("llm", EngineKind.TRITON)))
            yield RoutedGenerator(route, {"llm": TritonEngine(llm, timeout, lora)})
        finally:
            await llm.aclose()


async def generated(
    triton: FakeTritonLlm, generation: Generation = ASKED, timeout: float = 30, lora: str = ""
) -> list[Said]:
    async with generator_of(triton, timeout, lora) as generator:
        return [piece async for piece in generator.generate(generation)]


async def test_text_and_its_end() -> None:
    triton = FakeTritonLlm([{"text": "Hel", "tokens": 1}, {"text": "lo", "tokens": 1}, finish(confidence=0.5)])
    ended = Ended(Finish.STOP, TokenCounts(5, 2, 1), 0.5)
    assert await generated(triton) == [Piece("Hel", tokens=1), Piece("lo", tokens=1), ended]
    (asked,) = triton.asked
    assert (asked["messages"], asked["sampling"]) == ([{"role": "user", "content": "why?"}], {})
    assert {"tools", "tool_choice", "response_format", "priority", "confidence", "lora"}.isdisjoint(asked)


async def test_calls_and_their_end() -> None:
    triton = FakeTritonLlm([
        {"text": "I add.", "tokens": 3},
        {"tool_calls": [{"id": "c1", "name": "add", "arguments": '{"a":1}'}]},
        finish("tool_calls"),
    ])  # fmt: skip
    call = Calls((ToolCall("c1", "add", '{"a":1}'),))
    assert await generated(triton) == [Piece("I add.", tokens=3), call, Ended(Finish.TOOL_CALLS, TokenCounts(5, 2, 1))]


async def test_everything_asked_for_is_passed_on() -> None:
    triton = FakeTritonLlm([finish("length")])
    generation = Generation(
        (Message(Role.USER, "why?"),), (TOOL,), ToolChoice(Choice.REQUIRED), True,
        ResponseFormat(Form.JSON_SCHEMA, "point", {"type": "object"}), Sampling(temperature=0.5, stop=("x",)),
        Priority.BATCH, confidence=True,
    )  # fmt: skip
    assert await generated(triton, generation, lora="legal") == [Ended(Finish.LENGTH, TokenCounts(5, 2, 1))]
    (asked,) = triton.asked
    assert asked["tools"] == [
        {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}}
    ]
    assert (asked["tool_choice"], asked["parallel_tool_calls"]) == ("required", False)
    assert asked["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert asked["sampling"] == {"temperature": 0.5, "stop": ["x"]}
    assert (asked["priority"], asked["confidence"], asked["lora"]) == ("batch", True, "legal")


@pytest.mark.parametrize(("limit", "remaining"), [(5, 60), (60, 5)])
async def test_the_engine_is_told_the_time_that_is_left(limit: float, remaining: float) -> None:
    calls.enter(Call("/test", deadline=time.monotonic() + remaining))
    triton = FakeTritonLlm([finish()])
    await generated(triton, timeout=limit)
    assert triton.asked[0]["remaining"] == pytest.approx(5, abs=1)


async def test_what_the_engine_refuses() -> None:
    told = {
        "kind": "INVALID_ARGUMENT", "reason": "CONTEXT_TOO_LONG", "message": "too long",
        "metadata": {"prompt_tokens": "9", "context_length": "8"},
    }  # fmt: skip
    with pytest.raises(DomainError) as caught:
        await generated(FakeTritonLlm([{"error": told}]))
    error = caught.value
    assert (error.kind, error.reason, error.message) == (ErrorKind.INVALID_ARGUMENT, "CONTEXT_TOO_LONG", "too long")
    assert error.details == told["metadata"]


async def test_an_engine_that_is_full_says_when_to_come_back() -> None:
    told = {
        "kind": "RESOURCE_EXHAUSTED",
        "reason": "LLM_OVERLOADED",
        "message": "full",
        "metadata": {},
        "retry_after": 3,
    }
    with pytest.raises(DomainError) as caught:
        await generated(FakeTritonLlm([{"error": told}]))
    assert (caught.value.kind, caught.value.retry_after) == (ErrorKind.RESOURCE_EXHAUSTED, 3)


async def test_a_triton_lost_before_anything_came_is_asked_again() -> None:
    triton = FakeTritonLlm(grpc.StatusCode.UNAVAILABLE, [{"text": "Hello"}, finish()])
    assert (await generated(triton))[0] == Piece("Hello")
    assert len(triton.asked) == 2


async def test_it_is_asked_three_times() -> None:
    triton = FakeTritonLlm(grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(DomainError) as caught:
        await generated(triton)
    assert (caught.value.kind, len(triton.asked)) == (ErrorKind.UNAVAILABLE, 3)


async def test_a_triton_lost_in_the_midst_is_not_asked_again() -> None:
    triton = FakeTritonLlm([{"text": "Hel"}, HOLD], grpc.StatusCode.UNAVAILABLE, [{"text": "again"}, finish()])
    async with (
        generator_of(triton) as generator,
        aclosing(generator.generate(ASKED)) as begun,
        aclosing(generator.generate(ASKED)) as breaking,
    ):
        assert await anext(begun) == Piece("Hel")
        other = asyncio.ensure_future(anext(breaking))
        with pytest.raises(DomainError) as caught:
            await anext(begun)
        assert await other == Piece("again")
    assert (caught.value.kind, len(triton.asked)) == (ErrorKind.UNAVAILABLE, 3)


async def test_who_leaves_cancels_in_the_engine() -> None:
    triton = FakeTritonLlm([{"text": "Hel"}, HOLD, finish("cancelled")])
    async with generator_of(triton) as generator:
        async with aclosing(generator.generate(ASKED)) as pieces:
            assert await anext(pieces) == Piece("Hel")
        await until(lambda: triton.cancelled)
    assert triton.cancelled == [triton.asked[0]["id"]]


BROKEN = [
    [{"finish": "stop"}], [{"finish": "odd", "usage": {"prompt": 1, "completion": 1}}], [{"tool_calls": [{"id": "c"}]}],
    [{"tool_calls": 3}],
]  # fmt: skip


@pytest.mark.parametrize("chunks", BROKEN)
async def test_an_answer_that_is_none(chunks: list[dict[str, object]]) -> None:
    with pytest.raises(DomainError) as caught:
        await generated(FakeTritonLlm(chunks))
    assert caught.value.kind is ErrorKind.INTERNAL


async def test_a_chunk_of_another_kind_is_passed_over() -> None:
    assert len(await generated(FakeTritonLlm([{"later": 1}, {"text": ""}, finish()]))) == 1


async def test_counting() -> None:
    triton = FakeTritonLlm([finish()], tokens=17)
    async with generator_of(triton) as generator:
        assert await generator.count([Message(Role.USER, "why?")], [TOOL]) == 17
    assert triton.asked[0]["tools"][0]["function"]["name"] == "add"
