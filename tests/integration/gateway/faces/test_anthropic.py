"""Anthropic's face over HTTP, by Anthropic's own package."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import MessageParam, ToolParam
from pydantic import BaseModel

from services.runtime.errors import Unavailable
from tests.fakes import openai_upstream as fake
from tests.fakes.http_calls import Refused
from tests.fakes.openai_upstream import Behaviour, delta
from tests.fakes.orchestrator import RUN_ID, FakeOrchestrator, approval, events, tool_call
from tests.integration.gateway.conftest import KEY, Gateway, MakeGateway
from tests.integration.gateway.faces.conftest import Before

WHY: list[MessageParam] = [{"role": "user", "content": "why?"}]
USAGE = fake.usage(prompt=11, completion=2, cached=3)
HELLO = (delta(role="assistant", content="Hel"), delta(content="lo."), delta("stop"), USAGE)
WEATHER: ToolParam = {
    "name": "weather",
    "description": "Tells it.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@asynccontextmanager
async def client_of(gateway: Gateway, **options: Any) -> AsyncIterator[Any]:
    base_url = str(gateway.http.base_url)
    async with AsyncAnthropic(base_url=base_url, **{"api_key": KEY, "max_retries": 0, **options}) as client:
        yield client


def whole(message: dict[str, Any], finish: str = "stop", **more: Any) -> Behaviour:
    """An upstream that answers with one completion."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish, **more}
    return fake.raw(
        json.dumps({**USAGE, "object": "chat.completion", "choices": [choice]}).encode(), kind="application/json"
    )


def calling(index: int, *, id: str = "", name: str = "", arguments: str = "") -> dict[str, Any]:  # noqa: A002
    """A piece of a call."""
    head = {"id": id, "type": "function"} if id else {}
    return {"index": index, **head, "function": {**({"name": name} if name else {}), "arguments": arguments}}


async def read(stream: Any, kinds: list[str]) -> None:
    """Note the kinds of the events as they come, also of those before an error."""
    async for event in stream:
        kinds += [event.type]


async def test_a_message_of_a_bare_model(before: Before) -> None:
    gateway, upstream = await before(whole({"content": "Hello."}))
    async with client_of(gateway) as client:
        message = await client.messages.create(model="small", max_tokens=50, system="Be brief.", messages=WHY)
    assert (message.type, message.role, message.stop_reason, message.model) == (
        "message", "assistant", "end_turn", "small-2026",
    )  # fmt: skip
    assert [block.to_dict() for block in message.content] == [{"type": "text", "text": "Hello."}]
    assert message.usage.to_dict() == {
        "input_tokens": 8, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 3, "output_tokens": 2,
    }  # fmt: skip
    assert message._request_id
    [body] = upstream.bodies
    assert body == {
        "model": "small-2026", "stream": False, "max_tokens": 50,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "why?"}],
    }  # fmt: skip


async def test_a_streamed_message_of_a_bare_model(before: Before) -> None:
    gateway, upstream = await before(fake.streams(*HELLO))
    async with (
        client_of(gateway) as client,
        client.messages.stream(model="small", max_tokens=50, messages=WHY) as stream,
    ):
        kinds = [event.type async for event in stream]
        message = await stream.get_final_message()
    assert kinds == [
        "message_start", "content_block_start", "content_block_delta", "text", "content_block_delta", "text",
        "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip
    assert [(block.type, block.text) for block in message.content] == [("text", "Hello.")]
    assert (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens) == ("end_turn", 8, 2)
    assert upstream.bodies[0]["stream_options"] == {"include_usage": True}


async def test_a_stream_says_at_once_about_how_many_tokens_were_read(before: Before) -> None:
    """Coding agents show it, and shorten the conversation by it."""
    gateway, _ = await before(fake.streams(*HELLO))
    async with client_of(gateway) as client:
        messages: list[MessageParam] = [{"role": "user", "content": "word " * 400}]
        counted = await client.messages.count_tokens(model="small", messages=messages)
        stream = await client.messages.create(model="small", max_tokens=50, messages=messages, stream=True)
        first = await anext(aiter(stream))
        await stream.close()
    assert first.type == "message_start"
    assert 400 < first.message.usage.input_tokens == counted.input_tokens < 600


async def test_the_models_are_listed_for_its_client_too(before: Before) -> None:
    gateway, _ = await before(fake.hangs_up)
    async with client_of(gateway) as client:
        models = [model async for model in client.models.list()]
        one = await client.models.retrieve("rag")
    assert [model.id for model in models] == ["rag", "bare", "small", "all-minilm-l6-v2"]
    assert (one.type, one.display_name, one.created_at.year) == ("model", "rag", 1970)


async def test_an_agents_message_has_its_sources(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(FakeOrchestrator(events("Cats sleep.", "Dogs bark.")))
    async with client_of(gateway) as client:
        message = await client.messages.create(
            model="rag",
            max_tokens=50,
            messages=WHY,
            metadata={"user_id": "u", "collection": "cats"},
        )
        async with client.messages.stream(model="rag", max_tokens=50, messages=WHY) as stream:
            streamed = await stream.get_final_message()
    for answer in (message, streamed):
        [text] = answer.content
        assert text.type == "text"
        assert text.text == "Cats sleep. Dogs bark."
        assert [(cited.cited_text, cited.source, cited.search_result_index) for cited in text.citations] == [
            ("Cats sleep.", "d0", 0), ("Dogs bark.", "d1", 1),
        ]  # fmt: skip
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (40, 7)
    assert message.to_dict()["headworks"]["run_id"] == RUN_ID
    run, _ = gateway.orchestrator.runs
    assert (run.collection, run.sampling.max_tokens) == ("cats", 50)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_is_called_and_its_result_goes_back(before: Before, stream: bool) -> None:
    said = {"content": "Let me look.", "tool_calls": [calling(0, id="c1", name="weather", arguments='{"city": "Ulm"}')]}
    pieces = [
        delta(role="assistant", content="Let me look."),
        delta(tool_calls=[calling(0, id="c1", name="weather")]),
        delta(tool_calls=[calling(0, arguments='{"city":')]),
        delta(tool_calls=[calling(0, arguments=' "Ulm"}')]),
        delta("tool_calls"),
        USAGE,
    ]
    first = fake.streams(*pieces) if stream else whole(said, "tool_calls")
    gateway, upstream = await before(first, whole({"content": "Rain."}))
    tools = [WEATHER]
    async with client_of(gateway) as client:
        ask = {"model": "small", "max_tokens": 50, "tools": tools, "tool_choice": {"type": "any"}}
        if stream:
            async with client.messages.stream(messages=WHY, **ask) as events_:
                message = await events_.get_final_message()
        else:
            message = await client.messages.create(messages=WHY, **ask)
        text, call = message.content
        assert (message.stop_reason, text.text) == ("tool_use", "Let me look.")
        assert (call.type, call.id, call.name, call.input) == ("tool_use", "c1", "weather", {"city": "Ulm"})
        result = {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "It rains."}]}
        then: list[Any] = [
            *WHY,
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": [result, {"type": "text", "text": "Well?"}]},
        ]
        last = await client.messages.create(model="small", max_tokens=50, tools=tools, messages=then)
    assert last.content[0].text == "Rain."
    asked, again = upstream.bodies
    assert asked["tools"] == [
        {"type": "function", "function": {"name": "weather", "description": "Tells it.",
                                          "parameters": WEATHER["input_schema"]}}
    ]  # fmt: skip
    assert asked["tool_choice"] == "required"
    _, called, answered, more = again["messages"]
    assert called["content"] == "Let me look."
    assert called["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city":"Ulm"}'}
    assert answered == {"role": "tool", "tool_call_id": "c1", "content": "It rains."}
    assert more == {"role": "user", "content": "Well?"}


async def test_calls_that_come_in_turns_are_blocks_one_behind_the_other(before: Before) -> None:
    """Two in one chunk, their arguments in turns, and one without any."""
    pieces = [
        delta(role="assistant", tool_calls=[calling(0, id="a", name="one"), calling(1, id="b", name="two")]),
        delta(tool_calls=[calling(1, arguments='{"x":')]),
        delta(tool_calls=[calling(0, arguments='{"y":')]),
        delta(tool_calls=[calling(1, arguments="1}"), calling(0, arguments="2}")]),
        delta(tool_calls=[calling(2, id="c", name="three")]),
        delta("tool_calls"),
        USAGE,
    ]
    gateway, _ = await before(fake.streams(*pieces))
    open_: list[int] = []
    async with (
        client_of(gateway) as client,
        client.messages.stream(model="small", max_tokens=50, messages=WHY, tools=[WEATHER]) as stream,
    ):
        async for event in stream:
            if event.type == "content_block_start":
                assert not open_
                open_.append(event.index)
            elif event.type == "content_block_delta":
                assert open_ == [event.index]
            elif event.type == "content_block_stop":
                assert open_.pop() == event.index
        message = await stream.get_final_message()
    called = [(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"]
    assert called == [("a", "one", {"y": 2}), ("b", "two", {"x": 1}), ("c", "three", {})]


async def test_what_a_call_has_beside_it_goes_back_with_it(before: Before) -> None:
    sealed = {"google": {"thought_signature": "c2VhbGVk"}}
    call = calling(0, id="c1", name="weather", arguments="{}") | {"extra_content": sealed}
    gateway, upstream = await before(fake.streams(delta(tool_calls=[call]), delta("tool_calls"), USAGE))
    async with client_of(gateway) as client:
        async with client.messages.stream(model="small", max_tokens=50, messages=WHY, tools=[WEATHER]) as stream:
            message = await stream.get_final_message()
        then: list[Any] = [
            *WHY,
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1"}]},
        ]
        async with client.messages.stream(model="small", max_tokens=50, messages=then, tools=[WEATHER]) as stream:
            await stream.get_final_message()
    assert upstream.bodies[1]["messages"][1]["tool_calls"][0]["extra_content"] == sealed


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_thoughts_are_shown_where_they_are_asked_for_and_go_back_with_calls(
    before: Before, stream: bool, name: str
) -> None:
    call = calling(0, id="c1", name="weather", arguments="{}")
    pieces = [delta(**{name: "Hm"}), delta(**{name: "m."}), delta(content="So."), delta(tool_calls=[call])]
    said = {name: "Hmm.", "content": "So.", "tool_calls": [call]}
    behaves = fake.streams(*pieces, delta("tool_calls"), USAGE) if stream else whole(said, "tool_calls")
    gateway, upstream = await before(behaves)
    ask: dict[str, Any] = {"model": "small", "max_tokens": 2000, "tools": [WEATHER]}
    thinking = {"type": "enabled", "budget_tokens": 1024}

    async def answer(client: AsyncAnthropic, **more: Any) -> Any:
        if not stream:
            return await client.messages.create(**{"messages": WHY, **ask, **more})
        async with client.messages.stream(**{"messages": WHY, **ask, **more}) as events_:
            return await events_.get_final_message()

    async with client_of(gateway) as client:
        shown, hidden = await answer(client, thinking=thinking), await answer(client)
        assert [block.type for block in hidden.content] == ["text", "tool_use"]
        assert [block.type for block in shown.content] == ["thinking", "text", "tool_use"]
        assert shown.content[0].thinking == "Hmm."
        assert shown.content[0].signature
        result = {"type": "tool_result", "tool_use_id": "c1", "content": "Rain."}
        await answer(
            client,
            thinking=thinking,
            messages=[
                *WHY, {"role": "assistant", "content": shown.content}, {"role": "user", "content": [result]},
            ],
        )  # fmt: skip
    assert "thinking" not in upstream.bodies[0]
    assert upstream.bodies[2]["messages"][1]["reasoning_content"] == "Hmm."


async def test_an_upstream_that_knows_of_thinking_is_told_what_is_asked(before: Before) -> None:
    gateway, upstream = await before(
        whole({"content": "Hello."}),
        entry={
            "passes": ["thinking", "reasoning_effort"],
            "longest_answer": 4000,
            "limit_field": "max_completion_tokens",
        },
    )
    async with client_of(gateway) as client:
        await client.messages.create(
            model="small", max_tokens=20_000, messages=WHY, thinking={"type": "enabled", "budget_tokens": 1024},
            output_config={"effort": "low"},
        )  # fmt: skip
    [body] = upstream.bodies
    assert (body["thinking"], body["reasoning_effort"]) == ({"type": "enabled", "budget_tokens": 1024}, "low")
    assert (body["max_completion_tokens"], "max_tokens" in body) == (4000, False)


async def test_an_answer_by_a_schema(before: Before) -> None:
    class Person(BaseModel):
        name: str

    gateway, upstream = await before(whole({"content": '{"name": "Ada"}'}))
    async with client_of(gateway) as client:
        message = await client.messages.parse(model="small", max_tokens=50, messages=WHY, output_format=Person)
    assert message.parsed_output == Person(name="Ada")
    schema = upstream.bodies[0]["response_format"]["json_schema"]
    assert (schema["strict"], schema["schema"]["properties"]["name"]["type"]) == (True, "string")


async def test_the_packages_own_loop_over_tools(before: Before) -> None:
    @anthropic.beta_async_tool
    async def weather(city: str) -> str:
        """Tells it.

        Args:
            city: where
        """
        return f"Rain in {city}."

    call = {"content": None, "tool_calls": [calling(0, id="c1", name="weather", arguments='{"city": "Ulm"}')]}
    gateway, upstream = await before(whole(call, "tool_calls"), whole({"content": "It rains."}))
    async with client_of(gateway) as client:
        # It asks first whether the server holds the conversation.
        runner = client.beta.messages.tool_runner(model="small", max_tokens=50, tools=[weather], messages=WHY)
        last = await runner.until_done()
    assert last.content[0].text == "It rains."
    assert upstream.bodies[1]["messages"][-1] == {"role": "tool", "tool_call_id": "c1", "content": "Rain in Ulm."}


CODING_AGENT: dict[str, Any] = {
    "model": "small",
    "max_tokens": 32_000,
    "stream": True,
    "metadata": {"user_id": "user_5_account__session_8"},
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cch=8a2b1;"},
        {"type": "text", "text": "You write code.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "The folder is /src.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ],
    "thinking": {"type": "adaptive"},
    "output_config": {"effort": "high"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "tools": [
        {**WEATHER, "cache_control": {"type": "ephemeral"}, "eager_input_streaming": True, "type": "custom"},
    ],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "<reminder>"}, {"type": "text", "text": "Fix it."}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "I look.", "signature": "x"},
            {"type": "redacted_thinking", "data": "xxx"},
            {"type": "tool_use", "id": "t1", "name": "Read", "input": {"path": "a.png"}},
            {"type": "tool_use", "id": "t2", "name": "Bash", "input": {"command": "make"}},
        ]},
        {"role": "user", "content": [
            {"type": "text", "text": "Be quick."},
            {"type": "tool_result", "tool_use_id": "t1", "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
            ]},
            {"type": "tool_result", "tool_use_id": "t2", "is_error": True, "content": "no rule",
             "cache_control": {"type": "ephemeral"}},
        ]},
        {"role": "system", "content": "<total_tokens>9 tokens left</total_tokens>"},
    ],
}  # fmt: skip


async def test_a_coding_agents_way_of_asking(before: Before) -> None:
    gateway, upstream = await before(fake.streams(*HELLO))
    headers = {"authorization": "", "x-api-key": KEY, "anthropic-version": "2023-06-01", "anthropic-beta": "a,b"}
    sent = json.dumps(CODING_AGENT).encode()
    stream = (await gateway.ask("POST", "/v1/messages?beta=true", sent, **headers).whole()).data.decode()
    assert stream.rstrip().endswith('data: {"type":"message_stop"}')
    [body] = upstream.bodies
    system, first, called, *results, rest = body["messages"]
    assert system == {"role": "system", "content": "You write code.\nThe folder is /src."}
    assert first == {"role": "user", "content": "<reminder>\nFix it."}
    assert (called["content"], called["reasoning_content"]) == (None, "I look.")
    assert [call["id"] for call in called["tool_calls"]] == ["t1", "t2"]
    assert [result["tool_call_id"] for result in results] == ["t1", "t2"]
    assert results[1]["content"] == "Error: no rule"
    assert rest["role"] == "user"
    assert [part["type"] for part in rest["content"]] == ["text", "image_url", "text"]
    assert rest["content"][1]["image_url"]["url"] == "data:image/png;base64,aGk="
    assert set(body) == {"model", "messages", "stream", "stream_options", "tools", "max_tokens"}
    counted = {name: CODING_AGENT[name] for name in ("model", "system", "tools", "messages", "thinking")}
    answer = await gateway.ask("POST", "/v1/messages/count_tokens", json.dumps(counted).encode(), **headers).whole()
    assert json.loads(answer.data)["input_tokens"] > 1000


async def test_a_coding_agents_conversation_with_an_agent(make_gateway: MakeGateway) -> None:
    """All but its pictures, which no run takes."""
    orchestrator = FakeOrchestrator([events()[0], tool_call("Read", '{"path": "b"}'), *events()[1:]])
    gateway = await make_gateway(orchestrator)
    body = json.loads(json.dumps(CODING_AGENT).replace('"small"', '"rag"'))
    body["messages"][2]["content"][1]["content"] = "text"
    stream = (await gateway.ask("POST", "/v1/messages", json.dumps(body).encode()).whole()).data.decode()
    assert '"partial_json":"{\\"path\\": \\"b\\"}"' in stream
    [run] = orchestrator.runs
    roles = [message.role for message in run.messages]
    message = type(run.messages[0])
    expected = ["SYSTEM", "USER", "ASSISTANT", "TOOL", "TOOL", "USER"]
    assert roles == [getattr(message, f"ROLE_{role}") for role in expected]
    assert run.messages[2].reasoning == "I look."


@pytest.mark.parametrize(
    ("status", "behaviour", "kind", "error"),
    [
        (429, fake.fails(429, retry_after="7"), "rate_limit_error", anthropic.RateLimitError),
        (503, fake.fails(503), "overloaded_error", anthropic.InternalServerError),
        (400, fake.fails(400, "odd field"), "invalid_request_error", anthropic.BadRequestError),
    ],
    ids=["429", "503", "400"],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
async def test_errors_have_anthropics_form(
    before: Before, status: int, behaviour: Behaviour, kind: str, error: type[anthropic.APIStatusError], stream: bool
) -> None:
    gateway, _ = await before(behaviour)
    async with client_of(gateway) as client:
        with pytest.raises(error) as caught:
            await client.messages.create(model="small", max_tokens=5, messages=WHY, stream=stream)
    body: Any = caught.value.body
    assert (caught.value.status_code, body["type"], body["error"]["type"]) == (status, "error", kind)
    assert caught.value.request_id == body["request_id"]
    assert caught.value.response.headers.get("retry-after") == ("7" if status == 429 else None)


async def test_errors_before_any_route_have_anthropics_form_too(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(FakeOrchestrator(events("Hi.")))
    async with client_of(gateway, api_key="hw_" + "b" * 40) as client:
        with pytest.raises(anthropic.AuthenticationError) as caught:
            await client.messages.create(model="rag", max_tokens=5, messages=WHY)
        body: Any = caught.value.body
        assert body["error"]["type"] == "authentication_error"
    async with client_of(gateway) as client:
        with pytest.raises(anthropic.NotFoundError) as none:
            await client.messages.batches.list()
        body = none.value.body
        assert body["error"]["type"] == "not_found_error"


async def test_a_prompt_that_is_too_long_is_said_as_coding_agents_know_it(before: Before) -> None:
    said = "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens."
    gateway, _ = await before(fake.fails(400, said, "context_length_exceeded"))
    async with client_of(gateway) as client:
        with pytest.raises(anthropic.BadRequestError, match="prompt is too long: 5000 tokens > 4096 maximum"):
            await client.messages.create(model="small", max_tokens=5, messages=WHY)


async def test_an_error_in_mid_stream_is_an_event(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(FakeOrchestrator(events("Hi.")[:2], error=Unavailable("gone")))
    async with client_of(gateway) as client:
        stream = await client.messages.create(model="rag", max_tokens=5, messages=WHY, stream=True)
        got: list[str] = []
        with pytest.raises(anthropic.APIStatusError) as caught:
            await read(stream, got)
    body: Any = caught.value.body
    assert body["error"]["type"] == "overloaded_error"
    assert got == ["message_start", "content_block_start", "content_block_delta"]


async def test_a_silent_stream_has_pings(before: Before) -> None:
    heard = asyncio.Event()

    async def slow(exchange: fake.Exchange) -> None:
        await heard.wait()
        await fake.streams(*HELLO)(exchange)

    gateway, _ = await before(slow, heartbeat_seconds=0.05)
    body = {"model": "small", "max_tokens": 5, "messages": WHY, "stream": True}
    call = gateway.ask("POST", "/v1/messages", json.dumps(body).encode())
    assert (await call.read()).data == b'event: ping\ndata: {"type":"ping"}\n\n'
    heard.set()
    rest = (await call.whole()).data
    assert b"event: message_start" in rest
    assert rest.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')


async def test_a_client_reads_over_pings_and_waits_for_approvals(make_gateway: MakeGateway) -> None:
    fake_ = FakeOrchestrator([*events()[:1], approval("apr_1"), *events("Hi.")[1:]], hold=2)
    gateway = await make_gateway(fake_, heartbeat_seconds=0.05)
    async with client_of(gateway) as client:
        stream = client.messages.stream(model="rag", max_tokens=5, messages=WHY)
        async with stream as got:
            await fake_.held.wait()
            await asyncio.sleep(0)
            fake_.resume.set()
            assert await got.get_final_text() == "Hi."


GUARDS = """
guards:
  - {guard: terms, stage: both, action: block, terms: [forbidden]}
"""


@pytest.mark.parametrize("stream", [False, True])
async def test_a_blocked_answer_is_a_refusal(before: Before, stream: bool) -> None:
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
            async with client.messages.stream(model="small", max_tokens=5, messages=WHY, tools=[WEATHER]) as got:
                message: Any = await got.get_final_message()
        else:
            message = await client.messages.create(model="small", max_tokens=5, messages=WHY, tools=[WEATHER])
    assert message.stop_reason == "refusal"
    assert "forbidden" not in message.to_json()
    assert "tool_use" not in message.to_json()


FILTERED = (
    delta(role="assistant", tool_calls=[calling(0, id="a", name="one"), calling(1, id="b", name="two")]),
    delta(tool_calls=[calling(0, arguments='{"y":'), calling(1, arguments="{}")]),
    delta("content_filter"),
    USAGE,
)


async def test_of_an_answer_that_is_filtered_no_further_call_is_made(before: Before) -> None:
    gateway, _ = await before(fake.streams(*FILTERED))
    async with (
        client_of(gateway) as client,
        client.messages.stream(model="small", max_tokens=5, messages=WHY, tools=[WEATHER]) as got,
    ):
        message = await got.get_final_message()
    assert (message.stop_reason, [block.name for block in message.content]) == ("refusal", ["one"])


@pytest.mark.parametrize(
    "hidden",
    [
        {"role": "user", "content": [{"type": "text", "text": "forbidden"}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "forbidden"}]},
        {"role": "user", "content": [{"type": "search_result", "source": "s", "title": "t",
                                      "content": [{"type": "text", "text": "forbidden"}]}]},
        {"role": "user", "content": [{"type": "document", "title": "forbidden",
                                      "source": {"type": "text", "media_type": "text/plain", "data": "d"}}]},
        {"role": "system", "content": "forbidden"},
    ],
    ids=lambda message: str(message)[28:60],
)  # fmt: skip
async def test_guards_see_all_that_goes_in(before: Before, hidden: Any) -> None:
    gateway, upstream = await before(whole({"content": "Hi."}), guards=GUARDS)
    async with client_of(gateway) as client:
        with pytest.raises(anthropic.BadRequestError) as caught:
            await client.messages.create(model="small", max_tokens=5, messages=[*WHY, hidden])
    body: Any = caught.value.body
    assert body["error"]["headworks"]["code"] == "content_filter"
    assert upstream.exchanges == []


async def test_what_guards_cannot_read_is_refused_while_they_act(before: Before) -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    messages: list[Any] = [{"role": "user", "content": [{"type": "document", "source": source}]}]
    gateway, upstream = await before(whole({"content": "Hi."}), guards=GUARDS)
    async with client_of(gateway) as client:
        with pytest.raises(anthropic.BadRequestError, match="only what its guards can read"):
            await client.messages.create(model="small", max_tokens=5, messages=messages)
    assert upstream.exchanges == []


ALL: dict[str, Any] = {"model": "small", "max_tokens": 5, "messages": WHY}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"max_tokens": None}, "max_tokens must be there"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [*WHY, {"role": "assistant", "content": "{"}]}, "end with a user's"),
        ({"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}]},
         "messages[0].content[0] is a block of the type 'container_upload'"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "odd": 1}]}]},
         "messages[0].content[0].odd"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type 'web_search_20250305'"),
        ({"tools": [WEATHER | {"defer_loading": True}]}, "tools[0].defer_loading"),
        ({"mcp_servers": [{"url": "x"}]}, "mcp_servers"),
        ({"container": "c"}, "container"),
        ({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}, "context_management.edits[0]"),
        ({"stop_sequences": [1]}, "stop_sequences"),
        ({"speed": "fast"}, "speed"),
        ({"tool_choice": {"type": "sometimes"}, "tools": [WEATHER]}, "tool_choice.type"),
    ],
    ids=str,
)  # fmt: skip
async def test_what_is_not_obeyed_is_refused_by_its_name(before: Before, more: dict[str, Any], says: str) -> None:
    gateway, upstream = await before(whole({"content": "Hi."}))
    with pytest.raises(Refused) as caught:
        await gateway.ask("POST", "/v1/messages", json.dumps(ALL | more).encode()).whole()
    assert (caught.value.status, caught.value.error["type"]) == (400, "invalid_request_error")
    assert says in caught.value.error["message"]
    assert upstream.exchanges == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"[" * 100_000, b'{"model": "\xff"}', b'{"messages": {}}'])
async def test_a_malformed_body(make_gateway: MakeGateway, body: bytes) -> None:
    gateway = await make_gateway()
    with pytest.raises(Refused) as caught:
        await gateway.ask("POST", "/v1/messages", body).whole()
    assert (caught.value.status, caught.value.error["type"]) == (400, "invalid_request_error")


async def test_an_answer_that_ended_at_a_callers_text(before: Before) -> None:
    gateway, _ = await before(
        whole({"content": "a"}, stop_reason="END"), fake.streams(delta(content="a"), delta("length"), USAGE)
    )
    async with client_of(gateway) as client:
        stopped = await client.messages.create(model="small", max_tokens=5, messages=WHY, stop_sequences=["END"])
        async with client.messages.stream(model="small", max_tokens=5, messages=WHY) as stream:
            cut = await stream.get_final_message()
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "END")
    assert cut.stop_reason == "max_tokens"


async def test_arguments_that_are_no_object_are_shown_as_they_are(before: Before) -> None:
    call = calling(0, id="c", name="weather", arguments='{"city": ')
    gateway, _ = await before(whole({"content": None, "tool_calls": [call]}, "tool_calls"))
    async with client_of(gateway) as client:
        message = await client.messages.create(model="small", max_tokens=5, messages=WHY, tools=[WEATHER])
    [block] = message.content
    assert block.input == {"INVALID_JSON": '{"city": '}
