"""OpenAI's Responses over HTTP, by OpenAI's own package."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from services.runtime.errors import Unavailable
from tests.fakes import openai_upstream as fake
from tests.fakes.http_calls import Refused
from tests.fakes.openai_upstream import delta
from tests.fakes.orchestrator import RUN_ID, FakeOrchestrator, events
from tests.integration.gateway.conftest import KEY, Gateway, MakeGateway
from tests.integration.gateway.faces.conftest import Before
from tests.integration.gateway.faces.test_anthropic import FILTERED, GUARDS, calling, whole

USAGE = fake.usage(prompt=11, completion=2, cached=3)
HELLO = (delta(role="assistant", content="Hel"), delta(content="lo."), delta("stop"), USAGE)
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "Tells it.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": None,
}


@asynccontextmanager
async def client_of(gateway: Gateway) -> AsyncIterator[Any]:
    async with AsyncOpenAI(base_url=f"{gateway.http.base_url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


async def events_of(client: Any, **ask: Any) -> list[Any]:
    """All events of a stream, whose numbers are those of their places."""
    got = [event async for event in await client.responses.create(stream=True, **ask)]
    assert [event.sequence_number for event in got] == list(range(len(got)))
    return got


def check(got: list[Any]) -> Any:
    """Each item begins, goes on and ends by itself, under one id, and stands so in the last event. Returns that
    response."""
    items: dict[int, Any] = {}
    texts: dict[str, str] = {}
    for event in got:
        if event.type == "response.output_item.added":
            assert event.output_index == len(items)
            assert all(item.status != "in_progress" for item in items.values())
            items[event.output_index] = event.item
        elif event.type.endswith(".delta"):
            assert items[event.output_index].id == event.item_id
            texts[event.item_id] = texts.get(event.item_id, "") + event.delta
        elif event.type.endswith("_text.done"):
            assert texts[event.item_id] == event.text
        elif event.type == "response.output_item.done":
            assert items[event.output_index].id == event.item.id
            items[event.output_index] = event.item
    last = got[-1].response
    assert [item.to_dict() for item in items.values()] == [item.to_dict() for item in last.output]
    return last


async def test_a_response_of_a_bare_model(before: Before) -> None:
    gateway, upstream = await before(whole({"content": "Hello."}))
    async with client_of(gateway) as client:
        response = await client.responses.create(
            model="small", instructions="Be brief.", input="why?", max_output_tokens=50, reasoning={"effort": "low"}
        )
    assert (response.output_text, response.status, response.error) == ("Hello.", "completed", None)
    assert (response.object, response.store, response.instructions) == ("response", False, "Be brief.")
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (11, 2, 13)
    assert response.usage.input_tokens_details.cached_tokens == 3
    assert upstream.bodies == [
        {
            "model": "small-2026", "stream": False, "max_tokens": 50, "reasoning_effort": "low",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "why?"}],
        }
    ]  # fmt: skip


async def test_a_streamed_response(before: Before) -> None:
    gateway, _ = await before(fake.streams(*HELLO))
    async with client_of(gateway) as client:
        got = await events_of(client, model="small", input="why?")
    assert [event.type for event in got] == [
        "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
        "response.output_text.delta", "response.output_text.delta", "response.output_text.done",
        "response.content_part.done", "response.output_item.done", "response.completed",
    ]  # fmt: skip
    last = check(got)
    assert (last.output_text, last.usage.total_tokens, last.id) == ("Hello.", 13, got[0].response.id)


async def test_an_agents_response_has_its_sources(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(FakeOrchestrator(events("Cats sleep.", "Dogs bark.")))
    async with client_of(gateway) as client:
        one = await client.responses.create(model="rag", input="why?", metadata={"collection": "cats"})
        got = await events_of(client, model="rag", input="why?")
    for response in (one, check(got)):
        [message] = response.output
        [part] = message.content
        assert part.text == "Cats sleep. Dogs bark."
        assert [(cited.type, cited.url, cited.start_index, cited.end_index) for cited in part.annotations] == [
            ("url_citation", "d0", 0, 11), ("url_citation", "d1", 12, 22),
        ]  # fmt: skip
        assert response.to_dict()["headworks"]["run_id"] == RUN_ID
        assert response.id == f"resp_{RUN_ID}"
    added = [event for event in got if event.type == "response.output_text.annotation.added"]
    assert [event.annotation_index for event in added] == [0, 1]
    assert gateway.orchestrator.runs[0].collection == "cats"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_is_called_and_its_result_goes_back(before: Before, stream: bool) -> None:
    sealed = {"google": {"thought_signature": "c2VhbGVk"}}
    call = calling(0, id="c1", name="weather", arguments='{"city": "Ulm"}') | {"extra_content": sealed}
    pieces = [
        delta(reasoning_content="Hm"),
        delta(reasoning_content="m."),
        delta(role="assistant", content="Let me look."),
        delta(tool_calls=[calling(0, id="c1", name="weather") | {"extra_content": sealed}]),
        delta(tool_calls=[calling(0, arguments='{"city":')]),
        delta(tool_calls=[calling(0, arguments=' "Ulm"}')]),
        delta("tool_calls"),
        USAGE,
    ]
    said = {"reasoning_content": "Hmm.", "content": "Let me look.", "tool_calls": [call]}
    first = fake.streams(*pieces) if stream else whole(said, "tool_calls")
    gateway, upstream = await before(first, whole({"content": "Rain."}))
    ask = {"model": "small", "tools": [WEATHER], "tool_choice": {"type": "function", "name": "weather"}}
    async with client_of(gateway) as client:
        if stream:
            response = check(await events_of(client, input="why?", **ask))
        else:
            response = await client.responses.create(input="why?", **ask)
        thought, text, call = response.output
        assert (thought.type, thought.content[0].text, thought.summary) == ("reasoning", "Hmm.", [])
        assert (text.type, response.output_text) == ("message", "Let me look.")
        assert (call.type, call.call_id, call.name, call.arguments) == (
            "function_call", "c1", "weather", '{"city": "Ulm"}',
        )  # fmt: skip
        result = {"type": "function_call_output", "call_id": "c1", "output": "It rains."}
        then = [{"role": "user", "content": "why?"}, *response.output, result]
        last = await client.responses.create(model="small", tools=[WEATHER], input=then)
    assert last.output_text == "Rain."
    asked, again = upstream.bodies
    assert asked["tools"][0]["function"] == {
        "name": "weather", "description": "Tells it.", "parameters": WEATHER["parameters"],
    }  # fmt: skip
    assert asked["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    _, called, answered = again["messages"]
    assert (called["content"], called["reasoning_content"]) == ("Let me look.", "Hmm.")
    assert called["tool_calls"] == [
        {
            "extra_content": sealed, "id": "c1", "type": "function",
            "function": {"name": "weather", "arguments": '{"city": "Ulm"}'},
        }
    ]  # fmt: skip
    assert answered == {"role": "tool", "tool_call_id": "c1", "content": "It rains."}


async def test_calls_that_come_in_turns_are_items_one_behind_the_other(before: Before) -> None:
    pieces = [
        delta(role="assistant", tool_calls=[calling(0, id="a", name="one"), calling(1, id="b", name="two")]),
        delta(tool_calls=[calling(1, arguments='{"x":'), calling(0, arguments='{"y":')]),
        delta(tool_calls=[calling(1, arguments="1}"), calling(0, arguments="2}")]),
        delta(tool_calls=[calling(2, id="c", name="three")]),
        delta("tool_calls"),
        USAGE,
    ]
    gateway, _ = await before(fake.streams(*pieces))
    async with client_of(gateway) as client:
        response = check(await events_of(client, model="small", input="why?", tools=[WEATHER]))
    called = [(item.call_id, item.name, json.loads(item.arguments)) for item in response.output]
    assert called == [("a", "one", {"y": 2}), ("b", "two", {"x": 1}), ("c", "three", {})]


CODING: list[Any] = [
    {"type": "custom", "name": "patch", "description": "Changes a file.",
     "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}},
    {"type": "namespace", "name": "agents", "tools": [WEATHER]},
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
async def test_tools_that_are_no_functions_are_asked_for_as_such(before: Before, stream: bool) -> None:
    """Custom tools, whose input is a text, and functions in a namespace, as Codex has them."""
    called = [
        calling(0, id="c1", name="patch", arguments='{"input": "a\\nb"}'),
        calling(1, id="c2", name="agents__weather", arguments='{"city": "Ulm"}'),
    ]
    first = (
        fake.streams(delta(tool_calls=called), delta("tool_calls"), USAGE)
        if stream
        else whole({"content": None, "tool_calls": called}, "tool_calls")
    )
    gateway, upstream = await before(first, whole({"content": "Done."}))
    async with client_of(gateway) as client:
        ask = {"model": "small", "tools": CODING}
        if stream:
            response = check(await events_of(client, input="why?", **ask))
        else:
            response = await client.responses.create(input="why?", **ask)
        patch, weather = response.output
        assert (patch.type, patch.call_id, patch.name, patch.input) == ("custom_tool_call", "c1", "patch", "a\nb")
        assert (weather.type, weather.name, weather.namespace) == ("function_call", "weather", "agents")
        results = [
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"},
            {"type": "function_call_output", "call_id": "c2", "output": "Rain."},
        ]
        await client.responses.create(input=[{"role": "user", "content": "why?"}, *response.output, *results], **ask)
    asked, again = upstream.bodies
    described = [tool["function"] for tool in asked["tools"]]
    assert [tool["name"] for tool in described] == ["patch", "agents__weather"]
    assert "(lark):\nstart: /.+/" in described[0]["description"]
    assert [call["function"] for call in again["messages"][1]["tool_calls"]] == [
        {"name": "patch", "arguments": '{"input":"a\\nb"}'},
        {"name": "agents__weather", "arguments": '{"city": "Ulm"}'},
    ]
    assert [message["content"] for message in again["messages"][2:]] == ["ok", "Rain."]


async def test_what_instructs_at_the_beginning_is_one_message(before: Before) -> None:
    gateway, upstream = await before(whole({"content": "Hi."}))
    given = [
        {"role": "developer", "content": "B"},
        {"role": "user", "content": "u"},
        {"role": "developer", "content": "C"},
    ]
    async with client_of(gateway) as client:
        await client.responses.create(model="small", instructions="A", input=given)
    said = [(message["role"], message["content"]) for message in upstream.bodies[0]["messages"]]
    assert said == [("system", "A\n\nB"), ("user", "u"), ("system", "C")]


async def test_an_answer_by_a_schema_by_the_packages_own_help(before: Before) -> None:
    class Person(BaseModel):
        name: str

    said = '{"name": "Ada"}'
    gateway, upstream = await before(whole({"content": said}), fake.streams(delta(content=said), delta("stop"), USAGE))
    async with client_of(gateway) as client:
        one = await client.responses.parse(model="small", input="who?", text_format=Person)
        async with client.responses.stream(model="small", input="who?", text_format=Person) as stream:
            other = await stream.get_final_response()
    assert one.output_parsed == other.output_parsed == Person(name="Ada")
    schema = upstream.bodies[0]["response_format"]["json_schema"]
    assert (schema["name"], schema["strict"]) == ("Person", True)


MIXED: list[Any] = [
    {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
    {"role": "user", "content": [
        {"type": "input_text", "text": "Look."}, {"type": "input_image", "image_url": "data:image/png;base64,aGk=",
                                                   "detail": "low"},
    ]},
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "I look."}],
     "encrypted_content": None},
    {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "a", "arguments": "{}", "status": "completed"},
    {"type": "function_call", "call_id": "c2", "name": "b", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": [
        {"type": "input_text", "text": "one"}, {"type": "input_image", "image_url": "https://h/x.png"},
    ]},
    {"type": "function_call_output", "call_id": "c2", "output": "two"},
    {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [
        {"type": "output_text", "text": "So.", "annotations": [], "logprobs": []}]},
    {"role": "user", "content": "And?"},
]  # fmt: skip


async def test_all_items_of_a_conversation(before: Before) -> None:
    gateway, upstream = await before(whole({"content": "Hi."}))
    async with client_of(gateway) as client:
        await client.responses.create(
            model="small", input=MIXED, store=False, include=["reasoning.encrypted_content"], truncation="disabled",
            prompt_cache_key="k", parallel_tool_calls=True,
        )  # fmt: skip
    [body] = upstream.bodies
    assert [message["role"] for message in body["messages"]] == [
        "system", "user", "assistant", "tool", "tool", "user", "assistant", "user",
    ]  # fmt: skip
    told, look, called, one, two, shown, said, more = body["messages"]
    assert (told["content"], one["content"], two["content"]) == ("Be brief.", "one", "two")
    assert look["content"][1] == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"},
    }
    assert (called["content"], called["reasoning_content"]) == (None, "I look.")
    assert [call["id"] for call in called["tool_calls"]] == ["c1", "c2"]
    assert shown["content"] == [{"type": "image_url", "image_url": {"url": "https://h/x.png"}}]
    assert (said["content"], more["content"]) == ("So.", "And?")
    assert (body["prompt_cache_key"], "parallel_tool_calls" in body) == ("k", False)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_response_goes_on_where_the_one_before_ended(with_runs: Before, stream: bool) -> None:
    """What was said, called and given back is in the session; a caller who goes on from an earlier response is told
    that it cannot be."""
    call = delta("tool_calls", tool_calls=[calling(0, id="c1", name="weather", arguments="{}")])
    answers = [fake.streams(call, USAGE)] + [fake.streams(delta(content=each), delta("stop"), USAGE) for each in "bc"]
    gateway, upstream = await with_runs(*answers)

    async with client_of(gateway) as client:

        async def ask(**more: Any) -> Any:
            if not stream:
                return await client.responses.create(model="run", tools=[WEATHER], **more)
            return check(await events_of(client, model="run", tools=[WEATHER], **more))

        first = await ask(input="why?")
        result = {"type": "function_call_output", "call_id": "c1", "output": "It rains."}
        second = await ask(input=[result], previous_response_id=first.id)
        third = await ask(input="And?", previous_response_id=second.id)
        assert (first.store, second.output_text, third.output_text) == (True, "b", "c")
        assert third.previous_response_id == second.id
        with pytest.raises(openai.BadRequestError, match="not the last of its conversation") as caught:
            await ask(input="Or?", previous_response_id=first.id)
        assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")
        alone = await ask(input="Who?", store=False)
        assert alone.store is False
        with pytest.raises(openai.BadRequestError, match="was not stored"):
            await ask(input="Or?", previous_response_id=alone.id)
        with pytest.raises(openai.BadRequestError, match="there is no such response"):
            await ask(input="Or?", previous_response_id="resp_none")
    said = [(message["role"], message["content"]) for message in upstream.bodies[2]["messages"]]
    assert said == [("user", "why?"), ("assistant", ""), ("tool", "It rains."), ("assistant", "b"), ("user", "And?")]


async def test_a_conversation_is_a_session(with_runs: Before) -> None:
    gateway, upstream = await with_runs(*[fake.streams(delta(content=one), delta("stop"), USAGE) for one in "ab"])
    async with client_of(gateway) as client:
        first = await client.responses.create(model="run", input="one", conversation="mine")
        await client.responses.create(model="run", input="two", conversation={"id": "mine"})
    assert first.conversation.id == "mine"
    assert [message["content"] for message in upstream.bodies[1]["messages"]] == ["one", "a", "two"]


@pytest.mark.parametrize("scopes", [["models.call:*"], ["*"]])
async def test_what_a_caller_may_not_store_is_not_stored(
    make_gateway: MakeGateway, scopes: list[str], tmp_path: Path
) -> None:
    """Only one who asks for it is refused."""
    keys = json.loads((tmp_path / "keys.json").read_text())
    keys["keys"][0]["scopes"] = scopes
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    gateway = await make_gateway(FakeOrchestrator(events("Hi.")))
    async with client_of(gateway) as client:
        response = await client.responses.create(model="rag", input="why?")
        assert response.store is (scopes == ["*"])
        if not response.store:
            with pytest.raises(openai.PermissionDeniedError):
                await client.responses.create(model="rag", input="why?", store=True)
    assert bool(gateway.orchestrator.runs[0].session_id) is response.store


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_is_cut_is_incomplete(before: Before, stream: bool) -> None:
    behaves = fake.streams(delta(content="a"), delta("length"), USAGE) if stream else whole({"content": "a"}, "length")
    gateway, _ = await before(behaves)
    async with client_of(gateway) as client:
        if stream:
            got = await events_of(client, model="small", input="why?")
            assert got[-1].type == "response.incomplete"
            response = check(got)
        else:
            response = await client.responses.create(model="small", input="why?")
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert response.output[-1].status == "incomplete"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_blocked_answer_is_incomplete(before: Before, stream: bool) -> None:
    said = "It is forbidden to say."
    call = calling(0, id="c", name="weather", arguments="{}")
    behaves = (
        fake.streams(delta(content="Well. "), delta(content=said), delta(tool_calls=[call]), delta("tool_calls"), USAGE)
        if stream
        else whole({"content": said, "tool_calls": [call]}, "tool_calls")
    )
    gateway, _ = await before(behaves, guards=GUARDS)
    async with client_of(gateway) as client:
        if stream:
            response = check(await events_of(client, model="small", input="why?", tools=[WEATHER]))
        else:
            response = await client.responses.create(model="small", input="why?", tools=[WEATHER])
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "content_filter")
    assert "forbidden" not in response.to_json()
    assert "function_call" not in response.to_json()


async def test_of_an_answer_that_is_filtered_no_further_call_is_made(before: Before) -> None:
    gateway, _ = await before(fake.streams(*FILTERED))
    async with client_of(gateway) as client:
        response = check(await events_of(client, model="small", input="why?", tools=[WEATHER]))
    assert [(item.name, item.status) for item in response.output] == [("one", "incomplete")]
    assert response.incomplete_details.reason == "content_filter"


@pytest.mark.parametrize(
    "hidden",
    [
        {"instructions": "forbidden"},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "forbidden"}]}]},
        {"input": [{"role": "user", "content": "x"}, {"type": "function_call_output", "call_id": "c",
                                                      "output": "forbidden"}]},
        {"tools": [WEATHER | {"description": "forbidden"}]},
    ],
    ids=str,
)  # fmt: skip
async def test_guards_see_all_that_goes_in(before: Before, hidden: dict[str, Any]) -> None:
    gateway, upstream = await before(whole({"content": "Hi."}), guards=GUARDS)
    async with client_of(gateway) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.responses.create(**{"model": "small", "input": "why?", **hidden})
    assert caught.value.code == "content_filter"
    assert upstream.exchanges == []


async def test_an_error_in_mid_stream_fails_the_response(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(FakeOrchestrator(events("Hi.")[:2], error=Unavailable("gone")))
    async with client_of(gateway) as client:
        *_, last = await events_of(client, model="rag", input="why?")
    assert (last.type, last.response.status) == ("response.failed", "failed")
    assert (last.response.error.code, last.response.error.message) == ("unavailable", "gone")
    assert last.response.output[0].content[0].text == "Hi."


async def test_an_error_before_the_first_event_is_the_status(before: Before) -> None:
    gateway, _ = await before(fake.fails(429, retry_after="7"))
    async with client_of(gateway) as client:
        with pytest.raises(openai.RateLimitError) as caught:
            await client.responses.create(model="small", input="why?", stream=True)
    assert caught.value.response.headers["retry-after"] == "7"


async def test_an_error_after_the_first_comment_fails_the_response(before: Before) -> None:
    async def slow(exchange: fake.Exchange) -> None:
        await exchange.head()
        await exchange.send(b": wait\n\n")
        await gone.read()
        exchange.close()

    gateway, _ = await before(slow, heartbeat_seconds=0.05)
    gone = gateway.ask("POST", "/v1/responses", json.dumps({"model": "small", "input": "x", "stream": True}).encode())
    async with client_of(gateway) as client:
        got = await events_of(client, model="small", input="why?")
    assert [event.type for event in got] == ["response.created", "response.in_progress", "response.failed"]
    gone.cancel()


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"max_tool_calls": 3}, "max_tool_calls"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "namespace", "name": "a", "tools": [{"type": "web_search"}]}]}, "tools[0].tools[0].type"),
        ({"tools": [WEATHER], "tool_choice": {"type": "mcp", "server_label": "x"}}, "tool_choice.type"),
        ({"previous_response_id": "resp_x"}, "previous_response_id"),
        ({"conversation": "c", "previous_response_id": "resp_x"}, "conversation"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
            "input[0].content[0].type",
        ),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"moderation": {"model": "m"}}, "moderation"),
        ({"odd": 1}, "odd"),
    ],
    ids=str,
)
async def test_what_is_not_obeyed_is_refused_by_its_name(before: Before, more: dict[str, Any], param: str) -> None:
    gateway, upstream = await before(whole({"content": "Hi."}))
    body = json.dumps({"model": "small", "input": "why?", **more}).encode()
    with pytest.raises(Refused) as caught:
        await gateway.ask("POST", "/v1/responses", body).whole()
    assert (caught.value.status, caught.value.error["param"]) == (400, param)
    assert upstream.exchanges == []
