"""An answer that breaks off in the midst, over HTTP, and a second upstream that goes on with it."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from services.llm.catalogue.entry import ALL, CatalogueEntry, EngineKind
from services.llm.catalogue.route import RouteSpec, TargetSpec
from services.llm.chat import Declaration, Form, Message, ResponseFormat, Role, Sampling
from services.llm.client import HttpClient
from services.llm.endpoint import endpoint_of
from services.llm.generation import Calls, Ended, Finish, Generation, Lost, Piece, Routed, Said
from services.llm.openai.engine import OpenAiEngine
from services.llm.routing.choice import Weighed
from services.llm.routing.generator import RoutedGenerator
from services.llm.routing.route import Route
from services.llm.routing.target import Target
from services.llm.tokens import estimate
from services.runtime.errors import DomainError
from tests.fakes.openai_upstream import Behaviour, FakeOpenAi, delta, fails, raw, usage

ASKED = Generation((Message(Role.USER, "What does the pump do?"),), sampling=Sampling(max_tokens=100))
BEGUN = ["The pump runs for six hours", " and then it "]
TEXT = "".join(BEGUN)


def sse(*events: Any, done: bool = True) -> Behaviour:
    data = [f"data: {json.dumps(one)}\n\n".encode() for one in events]
    return raw(*data, *([b"data: [DONE]\n\n"] if done else []))


BREAKS = sse(*[delta(content=text) for text in BEGUN], done=False)


def rest(*texts: str) -> Behaviour:
    return sse(*[delta(content=text) for text in texts], delta("stop"), usage(30, 5))


@asynccontextmanager
async def route_over(
    *behaviours: Behaviour, resume: bool = True, continues: bool = True, engine: EngineKind = EngineKind.OPENAI
) -> AsyncIterator[tuple[RoutedGenerator, list[FakeOpenAi]]]:
    """A route over upstreams that behave so, asked one after the other."""
    async with AsyncExitStack() as stack:
        client = HttpClient()
        await client.open()
        stack.push_async_callback(client.aclose)
        fakes = [await stack.enter_async_context(FakeOpenAi(one).serving()) for one in behaviours]
        entries = [
            CatalogueEntry(
                f"m{number}", engine if number else EngineKind.OPENAI, base_url=fake.url, model="small",
                capabilities=ALL, continues=continues,
            )
            for number, fake in enumerate(fakes)
        ]  # fmt: skip
        spec = RouteSpec("steady", tuple(TargetSpec(one.name, 1, at) for at, one in enumerate(entries)), resume=resume)
        targets = [Weighed(Target(one), 1, at) for at, one in enumerate(entries)]
        route = Route(spec, spec.entry({one.name: one for one in entries}), targets)
        yield RoutedGenerator(route, {one.name: OpenAiEngine(client, endpoint_of(one)) for one in entries}), fakes


async def generated(generator: RoutedGenerator, generation: Generation = ASKED) -> list[Said]:
    return [said async for said in generator.generate(generation)]


def text_of(said: list[Said]) -> str:
    return "".join(one.text for one in said if isinstance(one, Piece))


async def test_another_target_goes_on_where_one_breaks_off() -> None:
    async with route_over(BREAKS, rest("rests", ".")) as (generator, (_, second)):
        said = await generated(generator)
    assert text_of(said) == TEXT + "rests."
    assert not [one for one in said if isinstance(one, Lost)]
    (body,) = second.bodies
    assert body["messages"][-1] == {"role": "assistant", "content": TEXT.rstrip()}
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    assert body["max_tokens"] == 100 - estimate(TEXT)
    first, again = [one.report for one in said if isinstance(one, Routed)]
    assert (first.target, first.resumed) == ("m0", False)
    assert again.header == "steady; target=m1; failed=m0:broken; resumed"
    assert isinstance(said[-1], Ended)
    assert said[-1].finish is Finish.STOP
    # 30 tokens were read with the beginning among them, and 5 written after it.
    assert (said[-1].tokens.read, said[-1].tokens.written) == (30 - estimate(TEXT), 5 + estimate(TEXT))


async def test_a_third_goes_on_where_the_second_breaks_off_too() -> None:
    second = sse(delta(content="rests"), done=False)
    async with route_over(BREAKS, second, rest(" at night.")) as (generator, fakes):
        said = await generated(generator)
    assert text_of(said) == TEXT + "rests at night."
    assert fakes[2].bodies[0]["messages"][-1]["content"] == TEXT + "rests"


@pytest.mark.parametrize("cut", [1, 10, 1000])
async def test_what_a_model_says_again_first_is_left_out(cut: int) -> None:
    whole = TEXT + "rests."
    parts = [whole[at : at + cut] for at in range(0, len(whole), cut)]
    async with route_over(BREAKS, rest(*parts)) as (generator, _):
        assert text_of(await generated(generator)) == whole


async def test_a_short_rest_that_is_like_the_beginning_is_no_repetition() -> None:
    async with route_over(BREAKS, rest("The")) as (generator, _):
        assert text_of(await generated(generator)) == TEXT + "The"


async def test_anthropics_wire_takes_the_beginning_as_the_last_message() -> None:
    events = [
        {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 30}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "rests."}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]
    async with route_over(BREAKS, sse(*events, done=False), engine=EngineKind.ANTHROPIC) as (generator, (_, second)):
        assert text_of(await generated(generator)) == TEXT + "rests."
    (body,) = second.bodies
    assert body["messages"][-1] == {"role": "assistant", "content": [{"type": "text", "text": TEXT.rstrip()}]}
    assert "continue_final_message" not in body


CALL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
TOOL = Declaration("add", "Adds.", {"type": "object"})


@pytest.mark.parametrize(
    ("behaviour", "generation", "given"),
    [
        (BREAKS, ASKED, {"resume": False}),
        (BREAKS, ASKED, {"continues": False}),
        (BREAKS, replace(ASKED, response_format=ResponseFormat(Form.JSON_OBJECT)), {}),
        (BREAKS, replace(ASKED, sampling=Sampling(max_tokens=5)), {}),
        (sse(delta(content=" "), done=False), ASKED, {}),
    ],
    ids=["not asked for", "nobody can", "a grammar", "nothing is left to write", "nothing was said"],
)
async def test_where_nobody_may_go_on_the_answer_ends_with_its_error(
    behaviour: Behaviour, generation: Generation, given: dict[str, Any]
) -> None:
    said: list[Said] = []

    async def listen(generator: RoutedGenerator) -> None:
        async for one in generator.generate(generation):
            said.append(one)  # noqa: PERF401 (what came before the error)

    async with route_over(behaviour, rest("x"), **given) as (generator, (_, second)):
        with pytest.raises(DomainError) as caught:
            await listen(generator)
    assert caught.value.reason == "UPSTREAM_BROKEN"
    assert [one for one in said if isinstance(one, Lost)]
    assert second.bodies == []


async def test_a_call_that_had_begun_is_left_to_who_goes_on() -> None:
    calling = sse(delta(content="Let me see."), delta(tool_calls=[CALL]), done=False)
    other = sse(delta(tool_calls=[CALL]), delta("tool_calls"))
    async with route_over(calling, other) as (generator, _):
        said = await generated(generator, replace(ASKED, tools=(TOOL,)))
    assert text_of(said) == "Let me see."
    [made] = [one for one in said if isinstance(one, Calls)]
    assert [call.name for call in made.calls] == ["add"]


async def test_the_error_is_the_last_targets_where_that_fails_too() -> None:
    async with route_over(BREAKS, fails(429)) as (generator, _):
        with pytest.raises(DomainError) as caught:
            await generated(generator)
    assert caught.value.reason == "UPSTREAM_BUSY"
    assert caught.value.details["attempts"] == "m0:broken,m1:rate_limit"
