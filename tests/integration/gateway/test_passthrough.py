"""Models of upstreams, asked through the whole gateway."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes import openai_upstream as fake
from tests.fakes.http_calls import Refused
from tests.fakes.openai_upstream import Behaviour, FakeOpenAi, delta
from tests.fakes.serving import until
from tests.integration.gateway.conftest import Gateway, MakeGateway, rows

USAGE = fake.usage(prompt=11, completion=2, cached=3)
WHOLE = {
    "id": "c1", "object": "chat.completion", "created": 1_730_000_000, "model": "small-2026",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13},
}  # fmt: skip
Start = Callable[[Behaviour], Awaitable[tuple[Gateway, FakeOpenAi]]]


@pytest.fixture
async def start(records_url: str, make_gateway: MakeGateway, tmp_path: Path) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def made(behaviour: Behaviour) -> tuple[Gateway, FakeOpenAi]:
            upstream = await stack.enter_async_context(FakeOpenAi(behaviour).serving())
            model = {"base_url": upstream.url, "model": "small-2026", "input_price": 1, "output_price": 2}
            (tmp_path / "upstreams.yaml").write_text(yaml.safe_dump({"models": {"small": model}}))
            gateway = await make_gateway(upstreams_file=tmp_path / "upstreams.yaml", records_url=records_url)
            return gateway, upstream

        yield made


async def booked(url: str) -> list[tuple[Any, ...]]:
    """The rows of usage."""
    columns = "model, prompt_tokens, completion_tokens, cached_tokens, cost_nanos, finish_reason"
    return await rows(url, f"SELECT {columns} FROM usage")  # noqa: S608 (the columns above)


async def test_a_completion_is_answered_and_booked(start: Start, records_url: str) -> None:
    gateway, upstream = await start(fake.raw(json.dumps(WHOLE).encode(), kind="application/json"))
    [answer] = [message async for message in gateway.chat(model="small", max_tokens=5)]
    assert (answer.content_type, json.loads(answer.data)) == ("application/json", WHOLE)
    assert upstream.bodies[0]["model"] == "small-2026"
    assert "authorization" not in upstream.exchanges[0].headers
    assert await booked(records_url) == [("small", 11, 2, 0, 15_000, "stop")]
    assert gateway.orchestrator.calls == []


async def test_a_stream_is_booked_before_its_end(start: Start, records_url: str) -> None:
    chunks = (delta(role="assistant", content="Hel"), delta(content="lo."), delta("stop"), USAGE)
    gateway, _ = await start(fake.streams(*chunks))
    data = b""
    async for message in gateway.chat(model="small", stream=True):
        assert message.content_type == "text/event-stream"
        data += message.data
        if b"[DONE]" in message.data:
            assert await booked(records_url) == [("small", 11, 2, 3, 15_000, "stop")]
    assert data == b"".join(fake.event(chunk) for chunk in chunks[:-1]) + b"data: [DONE]\n\n"


@pytest.mark.parametrize("stream", [False, True])
async def test_an_upstreams_error_is_in_openais_form(start: Start, stream: bool, records_url: str) -> None:
    gateway, _ = await start(fake.fails(429, retry_after="7"))
    with pytest.raises(Refused) as caught:
        await gateway.chat(model="small", stream=stream).whole()
    assert caught.value.status == 429
    assert caught.value.headers["retry-after"] == "7"
    assert caught.value.error["code"] == "upstream_busy"
    assert await booked(records_url) == []


async def test_an_error_in_mid_stream_is_an_event(start: Start) -> None:
    gateway, _ = await start(fake.raw(fake.event(delta(content="a")), fake.event({"error": {"message": "no more"}})))
    data = b"".join([message.data async for message in gateway.chat(model="small", stream=True)])
    *_, error, done = data.strip().split(b"\n\n")
    assert json.loads(error.removeprefix(b"data: "))["error"]["code"] == "upstream_unavailable"
    assert done == b"data: [DONE]"


async def test_its_models_are_listed(start: Start) -> None:
    gateway, _ = await start(fake.hangs_up)
    answer = await gateway.ask("GET", "/v1/models").whole()
    [small] = [model for model in json.loads(answer.data)["data"] if model["id"] == "small"]
    assert small["headworks"]["prices"] == {"input": 1.0, "output": 2.0}


@pytest.mark.parametrize("fields", [{"n": 2}, {"messages": []}, {"stream": "yes"}])
async def test_a_bad_body_is_refused_before_anything(start: Start, fields: dict[str, Any]) -> None:
    gateway, upstream = await start(fake.hangs_up)
    with pytest.raises(Refused) as caught:
        await gateway.chat(model="small", **fields).whole()
    assert caught.value.status == 400
    assert upstream.exchanges == []


async def test_a_stream_tells_of_its_deadline_while_there_is_time(start: Start, records_url: str) -> None:
    """After the deadline nothing can be told: the connection would break off."""

    async def behave(exchange: fake.Exchange) -> None:
        await exchange.head()
        await exchange.send(fake.event(delta(content="Hello.")))
        await exchange.gone()

    gateway, _ = await start(behave)
    data = b"".join([message.data async for message in gateway.chat(model="small", stream=True, timeout=1)])
    first, error, done = data.decode().removesuffix("\n\n").split("\n\n")
    assert "Hello." in first
    assert json.loads(error.removeprefix("data: "))["error"]["code"] == "deadline_exceeded"
    assert done == "data: [DONE]"
    await until(lambda: booked(records_url))


@pytest.mark.parametrize("stream", [False, True])
async def test_the_callers_own_figure_is_told_where_his_time_is_over(start: Start, stream: bool) -> None:
    async def silent(exchange: fake.Exchange) -> None:
        await exchange.gone()

    gateway, _ = await start(silent)
    with pytest.raises(Refused) as caught:
        await gateway.chat(model="small", stream=stream, timeout=0.75).whole()
    assert (caught.value.status, caught.value.error["code"]) == (504, "deadline_exceeded")
    assert "within 0.75 seconds" in caught.value.error["message"]
    assert "x-headworks-timeout" in caught.value.error["message"]


@pytest.mark.parametrize("ending", [fake.streams(delta("stop", content="Hello.")), fake.fails(503)], ids=["ok", "503"])
async def test_a_stream_has_comments_before_its_first_chunk(
    make_gateway: MakeGateway, tmp_path: Path, ending: Behaviour
) -> None:
    """After the first of them an error comes as an event."""
    heard = asyncio.Event()

    async def behave(exchange: fake.Exchange) -> None:
        await heard.wait()
        await ending(exchange)

    async with FakeOpenAi(behave).serving() as upstream:
        models = {"small": {"base_url": upstream.url, "model": "small-2026"}}
        (tmp_path / "upstreams.yaml").write_text(yaml.safe_dump({"models": models}))
        gateway = await make_gateway(upstreams_file=tmp_path / "upstreams.yaml", heartbeat_seconds=0.05)
        sent = aiter(gateway.chat(model="small", stream=True))
        assert (await anext(sent)).data == b": still working\n\n"
        heard.set()
        rest = b"".join([message.data async for message in sent])
    assert rest.endswith(b"data: [DONE]\n\n")
    assert (b"upstream_unavailable" in rest) == (b"Hello." not in rest)


@pytest.mark.parametrize(
    ("behaviour", "status", "final"),
    [
        (fake.fails(401), 503, True),
        (fake.fails(403), 503, True),
        (fake.fails(404), 503, True),
        (fake.fails(402), 503, True),
        (fake.raw(b"data: " + b"x" * (5 << 20)), 503, True),
        (fake.raw(b"<html>", kind="text/html"), 503, True),
        (fake.fails(503), 503, False),
        (fake.hangs_up, 503, False),
        (fake.fails(429), 429, False),
    ],
)
async def test_what_no_repetition_helps_says_so(start: Start, behaviour: Behaviour, status: int, final: bool) -> None:
    gateway, upstream = await start(behaviour)
    with pytest.raises(Refused) as caught:
        await gateway.chat(model="small", stream=True).whole()
    assert caught.value.status == status
    assert (caught.value.headers.get("x-should-retry") == "false") == final
    assert len(upstream.exchanges) == 1


async def test_a_blocked_answer_is_on_record_as_blocked(
    make_gateway: MakeGateway, records_url: str, tmp_path: Path
) -> None:
    (tmp_path / "guards.yaml").write_text("guards: [{guard: terms, stage: output, action: block, terms: [forbidden]}]")
    choice = {"index": 0, "message": {"role": "assistant", "content": "It is forbidden."}, "finish_reason": "stop"}
    whole = fake.raw(json.dumps({**WHOLE, "choices": [choice]}).encode(), kind="application/json")
    async with FakeOpenAi(whole).serving() as upstream:
        models = {"small": {"base_url": upstream.url, "model": "small-2026"}}
        (tmp_path / "upstreams.yaml").write_text(yaml.safe_dump({"models": models}))
        files = {"upstreams_file": tmp_path / "upstreams.yaml", "guards_file": tmp_path / "guards.yaml"}
        gateway = await make_gateway(records_url=records_url, **files)
        [answer] = json.loads((await gateway.chat(model="small").whole()).data)["choices"]
    assert (answer["message"]["content"], answer["finish_reason"]) == ("It is ", "content_filter")
    ((record,),) = await rows(records_url, "SELECT record FROM audit_records")
    assert (json.loads(record)["decision"], json.loads(record)["guards"]) == ("blocked", ["terms:terms"])


Guarded = Callable[[str, Any], Awaitable[tuple[Gateway, FakeOpenAi]]]


@pytest.fixture
async def guarded(make_gateway: MakeGateway, tmp_path: Path) -> AsyncIterator[Guarded]:
    async with AsyncExitStack() as stack:

        async def made(guards: str, behaviour: Any) -> tuple[Gateway, FakeOpenAi]:
            upstream = await stack.enter_async_context(FakeOpenAi(behaviour).serving())
            small = {
                "name": "small",
                "generator": "openai",
                "bare": True,
                "base_url": upstream.url,
                "model": "small-2026",
                "passes": ["*"],
            }
            (tmp_path / "upstreams.yaml").write_text(yaml.safe_dump({"models": [small]}))
            (tmp_path / "guards.yaml").write_text(f"guards: [{guards}]")
            files = {"upstreams_file": tmp_path / "upstreams.yaml", "guards_file": tmp_path / "guards.yaml"}
            return await make_gateway(**files), upstream

        yield made


PII = "{guard: pii, stage: both, action: redact, restore: true}"
FILE = [{"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}}]
UNREADABLE: list[tuple[dict[str, Any], str]] = [
    ({"messages": [{"role": "user", "content": ["x"] * 20_001}]}, "messages"),
    ({"messages": [{"role": "user", "content": FILE}]}, "messages[0].content[0].file.file_data"),
    ({"prompt_token_ids": [1, 2]}, "prompt_token_ids"),
    ({"modalities": ["text", "audio"]}, "modalities"),
]


@pytest.mark.parametrize(("fields", "param"), UNREADABLE)
async def test_what_guards_cannot_read_is_refused_where_they_act(
    guarded: Guarded, fields: dict[str, Any], param: str
) -> None:
    whole = fake.raw(json.dumps(WHOLE).encode(), kind="application/json")
    gateway, upstream = await guarded(PII, whole)
    with pytest.raises(Refused) as caught:
        await gateway.chat(model="small", **fields).whole()
    assert (caught.value.status, caught.value.error["code"]) == (400, "unscreenable")
    assert caught.value.error["param"] == param
    assert upstream.exchanges == []


@pytest.mark.parametrize(("fields", "param"), UNREADABLE)
async def test_and_passed_on_where_they_only_look(guarded: Guarded, fields: dict[str, Any], param: str) -> None:
    whole = fake.raw(json.dumps(WHOLE).encode(), kind="application/json")
    gateway, upstream = await guarded(PII.replace("redact, restore: true", "flag"), whole)
    await gateway.chat(model="small", **fields).whole()
    assert len(upstream.exchanges) == 1


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_guards_cannot_read_is_an_error(guarded: Guarded, stream: bool) -> None:
    said = {"role": "assistant", "audio": {"data": "A" * 100, "transcript": "Hello."}}
    choice = {"index": 0, "message": said, "finish_reason": "stop"}
    gateway, _ = await guarded(
        PII, fake.raw(json.dumps({**WHOLE, "choices": [choice]}).encode(), kind="application/json")
    )
    with pytest.raises(Refused) as caught:
        await gateway.chat(model="small", stream=stream).whole()
    assert (caught.value.status, caught.value.error["code"]) == (503, "upstream_broken")
    assert "message.audio.data" in caught.value.error["message"]


async def test_what_is_said_anywhere_does_not_reach_the_upstream_and_comes_back(guarded: Guarded) -> None:
    card, mail = "4111111111111111", "ann@example.org"
    calls = [
        {"index": 0, "id": "1", "type": "function", "function": {"name": "pay", "arguments": '{"card": "<CARD_1>"}'}}
    ]
    chunks = [
        {
            "id": "c",
            "choices": [{"index": 0, "delta": {"content": "To <EMA"}}, {"index": 1, "delta": {"content": "IL_1> "}}],
        },
        {
            "id": "c",
            "choices": [{"index": 0, "delta": {"content": "IL_1>.", "tool_calls": calls}, "finish_reason": "stop"}],
        },
    ]
    gateway, upstream = await guarded(PII, fake.streams(*chunks))
    arguments = json.dumps({"card": int(card), "to": mail}).replace("@", "\\u0040")
    messages = [
        {"role": "user", "content": ["write to ann@exam", "ple.org"], "name": mail},
        {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "pay", "arguments": arguments}}]},
    ]
    tools = [{"type": "function", "function": {"name": "pay", "parameters": {"enum": [mail, int(card)]}}}]
    data = b"".join(
        [part.data async for part in gateway.chat(model="small", stream=True, messages=messages, tools=tools, n=2)]
    )
    [body] = upstream.bodies
    assert mail not in json.dumps(body)
    assert card not in json.dumps(body)
    assert body["messages"][0] == {"role": "user", "content": ["write to <EMAIL_1>", ""], "name": "<EMAIL_1>"}
    assert json.loads(body["messages"][1]["tool_calls"][0]["function"]["arguments"]) == {
        "card": "<CARD_1>",
        "to": "<EMAIL_1>",
    }
    assert body["tools"][0]["function"]["parameters"] == {"enum": ["<EMAIL_1>", "<CARD_1>"]}
    events = [json.loads(one.removeprefix(b"data: ")) for one in data.split(b"\n\n") if one.startswith(b"data: {")]
    deltas = [(choice["index"], choice["delta"]) for event in events for choice in event["choices"]]
    assert "".join(delta.get("content") or "" for index, delta in deltas if index == 0) == f"To {mail}."
    assert "".join(delta.get("content") or "" for index, delta in deltas if index == 1) == "IL_1> "
    [made] = [delta["tool_calls"][0] for _, delta in deltas if "tool_calls" in delta]
    assert json.loads(made["function"]["arguments"]) == {"card": card}
