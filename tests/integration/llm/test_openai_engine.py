"""The generator over an upstream with OpenAI's API, over real sockets."""

import asyncio
import json
import math
import socket
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from services.llm import client
from services.llm.catalogue.entry import CatalogueEntry, EngineKind
from services.llm.chat import (
    Choice,
    Form,
    Message,
    ResponseFormat,
    Role,
    Sampling,
    ToolChoice,
)
from services.llm.client import HttpClient
from services.llm.endpoint import endpoint_of
from services.llm.generation import Calls, Ended, Finish, Generation, Lost, Piece, Said, Thought, TokenCounts
from services.llm.openai.engine import OpenAiEngine
from services.llm.routing.generator import RoutedGenerator
from services.llm.routing.route import own_route
from services.llm.routing.target import Target
from services.orchestrator.domain.tool import Declaration, ToolCall
from services.orchestrator.runs.codec import decode_message, encode_message
from services.runtime import call as calls
from services.runtime.call import Call
from services.runtime.errors import DomainError, ErrorKind
from tests.fakes.openai_upstream import (
    Behaviour,
    Exchange,
    FakeOpenAi,
    delta,
    event,
    fails,
    hangs_up,
    raw,
    streams,
    usage,
)
from tests.fakes.serving import until

ENTRY = CatalogueEntry(
    "small", EngineKind.OPENAI, model="small-2026", api_key_env="SMALL_KEY", context_length=4096,
    first_byte_seconds=5, idle_seconds=5, connections=2,
)  # fmt: skip
ASKED = Generation((Message(Role.USER, "why?"),))
TOOL = Declaration("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}})
HELLO = [delta(role="assistant", content=""), delta(content="Hel"), delta(content="lo"), delta("stop")]


@asynccontextmanager
async def upstream_of(fake: FakeOpenAi, key: str = "secret", **changes: Any) -> AsyncIterator[RoutedGenerator]:
    async with fake.serving(), engine_of(replace(ENTRY, base_url=fake.url, **changes), key) as engine:
        yield engine


@asynccontextmanager
async def engine_of(entry: CatalogueEntry, key: str = "") -> AsyncIterator[RoutedGenerator]:
    opened = HttpClient(entry.connections)
    await opened.open()
    try:
        route = own_route(Target(entry))
        yield RoutedGenerator(route, {entry.name: OpenAiEngine(opened, endpoint_of(entry, key))})
    finally:
        await opened.aclose()


async def generated(fake: FakeOpenAi, generation: Generation = ASKED, **changes: Any) -> list[Said]:
    async with upstream_of(fake, **changes) as upstream:
        return [piece async for piece in upstream.generate(generation)]


async def failure(fake: FakeOpenAi, **changes: Any) -> DomainError:
    with pytest.raises(DomainError) as caught:
        await generated(fake, **changes)
    return caught.value


async def test_a_streamed_answer() -> None:
    fake = FakeOpenAi(streams(*HELLO, usage(12, 2, 8)))
    assert await generated(fake) == [Piece("Hel"), Piece("lo"), Ended(Finish.STOP, TokenCounts(12, 2, 8))]
    (exchange,) = fake.exchanges
    assert (exchange.headers[":path"], exchange.headers["authorization"]) == ("/v1/chat/completions", "Bearer secret")
    assert exchange.body == {
        "model": "small-2026", "messages": [{"role": "user", "content": "why?"}], "stream": True,
        "stream_options": {"include_usage": True},
    }  # fmt: skip


@pytest.mark.parametrize("whole", [False, True])
async def test_what_was_cached_and_thought_is_told(whole: bool) -> None:
    used = {
        "prompt_tokens": 12, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 8},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }  # fmt: skip
    message = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}], "usage": used}
    fake = FakeOpenAi(
        raw(json.dumps(message).encode(), kind="application/json")
        if whole
        else streams(delta(content="Hi"), delta("stop"), {"choices": [], "usage": used})
    )
    assert await generated(fake) == [Piece("Hi"), Ended(Finish.STOP, TokenCounts(12, 5, 8, 3))]


async def test_everything_asked_for_is_passed_on() -> None:
    fake = FakeOpenAi(streams(*HELLO))
    call = ToolCall("c1", "add", "")
    schema = {"type": "object"}
    await generated(
        fake,
        Generation(
            (
                Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "why?", name="ann"),
                Message(Role.ASSISTANT, "", (call,)), Message(Role.TOOL, "3", tool_call_id="c1", name="add"),
            ),
            (TOOL,), ToolChoice(Choice.FUNCTION, "add"), True, ResponseFormat(Form.JSON_SCHEMA, "", schema),
            Sampling(temperature=0, max_tokens=5, stop=("x",), seed=7, ignore_eos=True), confidence=True,
        ),
        key="",
    )  # fmt: skip
    (exchange,) = fake.exchanges
    assert "authorization" not in exchange.headers
    body = exchange.body
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "why?", "name": "ann"},
        {
            "role": "assistant", "content": "",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}],
        },
        {"role": "tool", "content": "3", "tool_call_id": "c1", "name": "add"},
    ]  # fmt: skip
    assert body["tools"][0]["function"] == {"name": "add", "description": "Adds.", "parameters": TOOL.parameters}
    assert body["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert body["parallel_tool_calls"] is False
    assert body["response_format"]["json_schema"] == {"name": "answer", "schema": schema, "strict": True}
    assert (body["temperature"], body["max_tokens"], body["stop"], body["seed"]) == (0, 5, ["x"], 7)
    assert (body["ignore_eos"], body["logprobs"]) == (True, True)


def part(index: int | None, id_: str | None = None, name: str | None = None, arguments: Any = "") -> Any:
    made: dict[str, Any] = {"function": {"name": name, "arguments": arguments}}
    return {**made, **({} if index is None else {"index": index}), **({"id": id_} if id_ else {})}


@pytest.mark.parametrize(
    ("parts", "finish"),
    [
        (
            [[part(0, "c1", "add", "")], [part(0, None, None, '{"a"')], [part(1, "c2", "sub", "{}")],
             [part(0, None, None, ": 1}")]],
            "tool_calls",
        ),
        ([[part(0, "c1", "add", '{"a"')], [part(0, "c1", "add", ": 1}")], [part(1, "c2", "sub", "{}")]], "stop"),
        ([[part(0, "c1", "add", '{"a": 1}')], [part(0, "c2", "sub", "{}")]], "stop"),
        ([[part(None, "c1", "add", {"a": 1}), part(None, "c2", "sub", {})]], "stop"),
    ],
    ids=["in parts", "in parts with their names", "whole, all of one index", "whole, without an index, as objects"],
)  # fmt: skip
async def test_tool_calls_are_put_together(parts: list[Any], finish: str) -> None:
    fake = FakeOpenAi(streams(*(delta(tool_calls=some) for some in parts), delta(finish), usage(9, 9)))
    got, ended = await generated(fake, replace(ASKED, tools=(TOOL,)))
    assert isinstance(got, Calls)
    assert [(call.id, call.name, json.loads(call.arguments_json or "{}")) for call in got.calls] == [
        ("c1", "add", {"a": 1}), ("c2", "sub", {}),
    ]  # fmt: skip
    assert ended == Ended(Finish.TOOL_CALLS, TokenCounts(9, 9))


async def test_a_call_without_an_id_gets_one() -> None:
    got, _ = await generated(FakeOpenAi(streams(delta("tool_calls", tool_calls=[part(0, None, "add", "{}")]))))
    assert isinstance(got, Calls)
    assert got.calls[0].id.startswith("call_")


async def test_confidence_is_the_mean_of_the_tokens() -> None:
    first, second = ({"content": [{"token": "a", "logprob": value}]} for value in (-0.1, -0.3))
    chunks = [delta(content="a"), delta("stop", content="b")]
    for chunk, logprobs in zip(chunks, (first, second), strict=True):
        chunk["choices"][0]["logprobs"] = logprobs
    *_, ended = await generated(FakeOpenAi(streams(*chunks)))
    assert isinstance(ended, Ended)
    assert ended.confidence == pytest.approx(math.exp(-0.2))


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize("wanted", [True, False])
async def test_what_is_thought_comes_where_it_is_wanted(field: str, wanted: bool) -> None:
    chunks = [delta(**{field: "Let me "}), delta(**{field: "see."}), delta(content="Yes."), delta("stop")]
    message = {field: "Let me see.", "content": "Yes."}
    whole = raw(json.dumps({"choices": [{"message": message}]}).encode(), kind="application/json")
    for behaviour, thoughts in ((streams(*chunks), ["Let me ", "see."]), (whole, ["Let me see."])):
        *said, ended = await generated(FakeOpenAi(behaviour), replace(ASKED, reasoning=wanted))
        assert said == [*(map(Thought, thoughts) if wanted else ()), Piece("Yes.")]
        assert isinstance(ended, Ended)
        assert ended.tokens.written > 1  # what is thought is paid for, wanted or not


async def test_what_a_server_wants_back_with_its_calls_goes_back() -> None:
    """Sealed thoughts and thoughts aloud, in the agent's next request."""
    sealed = {"google": {"thought_signature": "c2VhbGVk"}}
    call = {**part(0, "c1", "add", "{}"), "extra_content": sealed}
    thought = [delta(reasoning_content=text) for text in ("Let me ", "add.")]
    fake = FakeOpenAi(streams(*thought, delta(tool_calls=[call]), delta("stop")), streams(*HELLO))
    async with upstream_of(fake) as upstream:
        got, _ = [said async for said in upstream.generate(replace(ASKED, tools=(TOOL,)))]
        assert isinstance(got, Calls)
        kept = decode_message(encode_message(Message(Role.ASSISTANT, "", got.calls)))  # as on record
        messages = (*ASKED.messages, kept, Message(Role.TOOL, "3", (), "c1", "add"))
        assert [said async for said in upstream.generate(replace(ASKED, messages=messages))]
    sent = fake.bodies[1]["messages"][1]
    assert sent["reasoning_content"] == "Let me add."
    assert sent["tool_calls"][0]["extra_content"] == sealed


async def test_a_refusal_is_no_answer() -> None:
    fake = FakeOpenAi(streams(delta(refusal="I'm "), delta(refusal="sorry."), delta("stop"), usage(3, 2)))
    assert await generated(fake) == [
        Piece("I'm ", refusal=True), Piece("sorry.", refusal=True), Ended(Finish.REFUSAL, TokenCounts(3, 2)),
    ]  # fmt: skip


async def test_thoughts_among_the_parts_of_a_content_are_no_answer() -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm. "}, {"type": "text", "text": "So."}]}
    content = [thought, {"type": "text", "text": "Yes."}]
    whole = raw(json.dumps({"choices": [{"message": {"content": content}}]}).encode(), kind="application/json")
    parts = streams(delta(content=[thought]), delta(content=[{"type": "text", "text": "Yes."}]), delta("stop"))
    for behaviour in (whole, parts):
        *said, _ = await generated(FakeOpenAi(behaviour), replace(ASKED, reasoning=True))
        assert said == [Thought("Hm. So."), Piece("Yes.")]
        *said, _ = await generated(FakeOpenAi(behaviour))
        assert said == [Piece("Yes.")]


@pytest.mark.parametrize(
    ("word", "finish"),
    [("stop", Finish.STOP), ("length", Finish.LENGTH), ("content_filter", Finish.CONTENT_FILTER), ("eos", Finish.STOP)],
)
async def test_why_it_ended_is_kept(word: str, finish: Finish) -> None:
    *_, ended = await generated(FakeOpenAi(streams(delta(content="a"), delta(word))))
    assert isinstance(ended, Ended)
    assert ended.finish is finish


@pytest.mark.parametrize("noise", [None, b": ping\n\n"], ids=["silent", "comments"])
async def test_an_upstream_that_does_not_end_after_its_end_is_left(
    monkeypatch: pytest.MonkeyPatch, noise: bytes | None
) -> None:
    monkeypatch.setattr(client, "CLOSE_SECONDS", 0.05)

    async def behave(exchange: Exchange) -> None:
        await exchange.head()
        for chunk in (*HELLO, usage(12, 2, 8)):
            await exchange.send(event(chunk))
        with suppress(ConnectionError):
            while noise is not None:
                await exchange.send(noise)
                await asyncio.sleep(0.005)
        await exchange.gone()

    *pieces, ended = await generated(FakeOpenAi(behave))
    assert pieces == [Piece("Hel"), Piece("lo")]
    assert ended == Ended(Finish.STOP, TokenCounts(12, 2, 8))


@pytest.mark.parametrize("strict", [True, False, None])
async def test_strict_is_passed_on_as_it_was_said(strict: bool | None) -> None:
    fake = FakeOpenAi(streams(*HELLO))
    form = ResponseFormat(Form.JSON_SCHEMA, "n", {}, strict)
    await generated(fake, replace(ASKED, tools=(replace(TOOL, strict=strict),), response_format=form))
    [body] = fake.bodies
    for given in (body["tools"][0]["function"], body["response_format"]["json_schema"]):
        assert given.get("strict", None) is strict
        assert ("strict" in given) is (strict is not None)


async def test_without_usage_there_is_an_estimate() -> None:
    *_, ended = await generated(FakeOpenAi(streams(delta("length", content="x" * 10))))
    assert isinstance(ended, Ended)
    assert (ended.finish, ended.tokens.written) == (Finish.LENGTH, 3)
    assert ended.tokens.read == 5


WORDS = "word " * 300
NUMBERS: list[Any] = [0, -7, "375", 1.5, True, [1], {}]
LIES: list[Any] = [
    None, 0, "many", [], {"prompt_tokens": None, "completion_tokens": None},
    *({"prompt_tokens": one, "completion_tokens": one} for one in NUMBERS),
]  # fmt: skip


@pytest.mark.parametrize("usage", LIES, ids=repr)
async def test_a_usage_that_cannot_be_is_estimated(usage: Any) -> None:
    chunks = [delta(content=WORDS), delta("stop"), {"choices": [], "usage": usage}]
    *_, ended = await generated(FakeOpenAi(streams(*chunks)))
    assert isinstance(ended, Ended)
    beside = 1 if '"' in json.dumps(list(usage.values()) if isinstance(usage, dict) else usage) else 0  # a text as any
    assert (ended.finish, ended.tokens.written, ended.tokens.cached) == (Finish.STOP, 375 + beside, 0)
    assert ended.tokens.read == 5


@pytest.mark.parametrize("lie", [4097, 2**62, 2**70])
async def test_a_usage_that_is_too_large_is_taken_as_far_as_it_can_be(lie: int) -> None:
    used = {"prompt_tokens": lie, "completion_tokens": lie}
    *_, ended = await generated(FakeOpenAi(streams(*HELLO, {"choices": [], "usage": used})))
    assert isinstance(ended, Ended)
    assert ended.tokens == TokenCounts(4096, 4096, 0)


@pytest.mark.parametrize("wrong", [5, ["stop"], {"a": 1}, True])
async def test_words_that_are_none_do_no_harm(wrong: Any) -> None:
    call = {"index": 0, "id": wrong, "function": {"name": "add", "arguments": "{}"}}
    chunk = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": wrong}]}
    made, ended = await generated(FakeOpenAi(streams(chunk)), replace(ASKED, tools=(TOOL,)))
    assert isinstance(made, Calls)
    assert isinstance(made.calls[0].id, str)
    assert isinstance(ended, Ended)
    assert ended.finish is Finish.TOOL_CALLS


async def test_calls_without_end_are_no_answer() -> None:
    one = [{"index": n, "id": f"c{n}", "function": {"name": "add", "arguments": "{}"}} for n in range(2000)]
    assert (await failure(FakeOpenAi(streams(delta(tool_calls=one))))).reason == "UPSTREAM_BROKEN"


@pytest.mark.parametrize("body", ["error", "message", "text", "event"])
async def test_the_key_is_never_told(body: str) -> None:
    key = "sk-0123456789abcdefghij"
    told = f"you sent Bearer {key}, that is {key[3:20]}"
    behaviour = {
        "error": fails(400, told),
        "message": raw(json.dumps({"message": told}).encode(), kind="application/json", status=422),
        "text": raw(json.dumps(told).encode(), kind="application/json", status=400),
        "event": streams({"error": {"message": told, "code": 400}}),
    }[body]
    error = await failure(FakeOpenAi(behaviour), key=key)
    assert "you sent Bearer …" in error.message
    assert key[3:15] not in error.message + str(error.details)


QUIRKS: dict[str, Behaviour] = {
    "in single bytes": raw(*(bytes([one]) for one in b"".join(map(event, HELLO)) + event("[DONE]"))),
    "with carriage returns": raw(*(event(one).replace(b"\n", b"\r\n") for one in HELLO)),
    "without the last empty line": raw(*map(event, HELLO[:-1]), event(HELLO[-1]).rstrip()),
    "with comments and other fields": raw(b": ping\n\n", b"event: x\nid: 1\n", *map(event, HELLO), b"retry: 5\n\n"),
    "without a space": raw(*(event(one).replace(b"data: ", b"data:") for one in HELLO)),
    "without [DONE]": streams(*HELLO, done=False),
    "without a finish": streams(*HELLO[:-1]),
    "with empty choices": streams({"choices": []}, {"choices": None}, {}, *HELLO),
    "with an empty delta": streams({"choices": [{"delta": None}]}, *HELLO),
    "with a choice that nobody asked for": streams(*(
        {"choices": [each["choices"][0], {"index": 1, "delta": {"content": "No", "tool_calls": [{"index": 0}]}}]}
        for each in HELLO if each.get("choices")
    ), {"choices": [{"index": 1, "delta": {"content": "No", "tool_calls": [{"id": "a", "function": {"name": "f"}}]}}]}),
    "as one JSON": raw(
        json.dumps({"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}).encode(),
        kind="application/json; charset=utf-8",
    ),
}  # fmt: skip


@pytest.mark.parametrize("behaviour", QUIRKS.values(), ids=QUIRKS)
async def test_the_ways_of_other_servers(behaviour: Behaviour) -> None:
    *pieces, ended = await generated(FakeOpenAi(behaviour))
    assert "".join(piece.text for piece in pieces if isinstance(piece, Piece)) == "Hello"
    assert isinstance(ended, Ended)
    assert ended.finish is Finish.STOP


BROKEN: dict[str, Behaviour] = {
    "not JSON": raw(event("{")),
    "no object": raw(event("[1]")),
    "content is no text": streams(delta(content={"a": 1})),
    "choices are no list": streams({"choices": {"a": 1}}),
    "HTML": raw(b"<html>secret page</html>", kind="text/html"),
    "nothing": raw(),
    "no end": streams(*HELLO[:-1], done=False),
    "an endless line": raw(b"data: ", *(b"x" * (1 << 20) for _ in range(5))),
    "an endless JSON": raw(*(b" " * (1 << 20) for _ in range(5)), kind="application/json"),
}


@pytest.mark.parametrize("behaviour", BROKEN.values(), ids=BROKEN)
async def test_an_answer_that_is_none(behaviour: Behaviour) -> None:
    fake = FakeOpenAi(behaviour)
    error = await failure(fake)
    assert (error.kind, error.reason) == (ErrorKind.UNAVAILABLE, "UPSTREAM_BROKEN")
    assert "secret page" not in error.message
    assert len(fake.exchanges) == 1


async def test_a_connection_that_breaks_in_the_midst_is_not_tried_again() -> None:
    async def breaks(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.send(event(HELLO[1]))
        exchange._writer.transport.abort()

    fake = FakeOpenAi(breaks)
    got: list[Any] = []
    async with upstream_of(fake) as upstream, aclosing(upstream.generate(ASKED)) as pieces:
        got += [await anext(pieces), await anext(pieces)]
        with pytest.raises(DomainError) as caught:
            await anext(pieces)
    assert (got, caught.value.reason, len(fake.exchanges)) == ([Piece("Hel"), Lost("")], "UPSTREAM_BROKEN", 1)


ERRORS = [
    (fails(401, "bad key secret"), ErrorKind.UNAVAILABLE, "UPSTREAM_MISCONFIGURED", "operator"),
    (fails(403), ErrorKind.UNAVAILABLE, "UPSTREAM_MISCONFIGURED", "operator"),
    (fails(404, "no model"), ErrorKind.UNAVAILABLE, "UPSTREAM_MISCONFIGURED", "operator"),
    (fails(302), ErrorKind.UNAVAILABLE, "UPSTREAM_MISCONFIGURED", "operator"),
    (fails(400, "top_k is odd"), ErrorKind.INVALID_ARGUMENT, "UPSTREAM_REFUSED", "top_k is odd"),
    (raw(b"<html>", kind="text/html", status=422), ErrorKind.INVALID_ARGUMENT, "UPSTREAM_REFUSED", "422"),
    (fails(413), ErrorKind.INVALID_ARGUMENT, "CONTEXT_TOO_LONG", "4096"),
    (fails(400, "x", "context_length_exceeded"), ErrorKind.INVALID_ARGUMENT, "CONTEXT_TOO_LONG", "4096"),
    (fails(429), ErrorKind.RESOURCE_EXHAUSTED, "UPSTREAM_BUSY", "limits"),
    (streams({"error": {"message": "odd", "code": 400}}), ErrorKind.INVALID_ARGUMENT, "UPSTREAM_REFUSED", "odd"),
    (streams({"error": {"message": "odd", "code": "rate_limit_exceeded"}}), ErrorKind.RESOURCE_EXHAUSTED,
     "UPSTREAM_BUSY", "limits"),
    (streams({"error": "gone"}), ErrorKind.UNAVAILABLE, "UPSTREAM_UNAVAILABLE", "500"),
]  # fmt: skip


@pytest.mark.parametrize(("behaviour", "kind", "reason", "words"), ERRORS)
async def test_what_an_upstream_refuses(behaviour: Behaviour, kind: ErrorKind, reason: str, words: str) -> None:
    fake = FakeOpenAi(behaviour)
    error = await failure(fake)
    assert (error.kind, error.reason) == (kind, reason)
    assert words in error.message
    assert "secret" not in error.message
    assert len(fake.exchanges) == 1


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("1.5", 1.5), ("-3", 0), ("99999999", 3600), ("soon", None)])
async def test_when_to_come_back(header: str, seconds: float | None) -> None:
    assert (await failure(FakeOpenAi(fails(429, retry_after=header)))).retry_after == seconds


@pytest.mark.parametrize("first", [fails(503), fails(500), fails(408), hangs_up], ids=["503", "500", "408", "hangs up"])
async def test_what_may_pass_is_tried_again(first: Behaviour) -> None:
    fake = FakeOpenAi(first, streams(*HELLO))
    assert len(await generated(fake)) == 3
    assert len(fake.exchanges) == 2


def after(seconds: float, behaviour: Behaviour) -> Behaviour:
    """Does the same after some time of work."""

    async def behave(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        if behaviour is hangs_up:
            exchange.close()
        else:
            await behaviour(exchange)

    return behave


@pytest.mark.parametrize("kept", [False, True], ids=["a new connection", "a kept one"])
@pytest.mark.parametrize("behaviour", [fails(503), fails(500), hangs_up], ids=["503", "500", "hangs up"])
async def test_what_an_upstream_had_in_hand_is_not_sent_again(
    monkeypatch: pytest.MonkeyPatch, behaviour: Behaviour, kept: bool
) -> None:
    monkeypatch.setattr(client, "IN_HAND_SECONDS", 0.05)
    monkeypatch.setattr(client, "AT_ONCE_SECONDS", 0.05)
    fake = FakeOpenAi(*[streams(*HELLO)] * kept, after(0.1, behaviour))
    async with upstream_of(fake) as upstream:
        for _ in range(kept):
            assert [piece async for piece in upstream.generate(ASKED)]
        with pytest.raises(DomainError) as caught:
            await anext(upstream.generate(ASKED))
    assert (caught.value.reason, caught.value.details) == ("UPSTREAM_UNAVAILABLE", {"final": "true"})
    assert len(fake.exchanges) == kept + 1


@asynccontextmanager
async def bare_of(fake: FakeOpenAi, **changes: Any) -> AsyncIterator[OpenAiEngine]:
    opened = HttpClient()
    await opened.open()
    async with fake.serving():
        try:
            yield OpenAiEngine(opened, endpoint_of(replace(ENTRY, base_url=fake.url, **changes), "secret"))
        finally:
            await opened.aclose()


async def read(upstream: OpenAiEngine, seconds: float) -> None:
    async with upstream.post(b"{}", seconds) as reply, aclosing(reply.portions()) as portions:
        async for _ in portions:
            pass


async def test_a_request_to_a_new_connection_is_sent_once() -> None:
    fake = FakeOpenAi(hangs_up, streams(*HELLO))
    async with bare_of(fake) as upstream:
        with pytest.raises(DomainError) as caught:
            await read(upstream, 20)
    assert caught.value.reason == "UPSTREAM_UNAVAILABLE"
    assert len(fake.exchanges) == 1


async def test_a_timer_that_is_ahead_of_the_clock_is_the_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which limit was hit does not depend on what the clock says by then."""
    fake = FakeOpenAi(silent, headers_only)
    async with bare_of(fake, timeout=600) as upstream:
        for _ in range(2):
            began = time.monotonic()
            monkeypatch.setattr(client, "time", SimpleNamespace(monotonic=lambda began=began: began))
            with pytest.raises(DomainError) as caught:
                await read(upstream, 0.1)
            monkeypatch.undo()
            assert caught.value.reason == "DEADLINE_EXCEEDED"


async def test_it_is_tried_three_times() -> None:
    fake = FakeOpenAi(fails(503, retry_after="0.1"))
    error = await failure(fake)
    assert (error.kind, error.reason, error.retry_after) == (ErrorKind.UNAVAILABLE, "UPSTREAM_UNAVAILABLE", 0.1)
    assert len(fake.exchanges) == 3


async def test_nothing_is_tried_beyond_the_deadline() -> None:
    fake = FakeOpenAi(fails(503))
    async with upstream_of(fake) as upstream:
        calls.enter(Call("/test", deadline=time.monotonic() + 0.09))  # less than any pause
        with pytest.raises(DomainError) as caught:
            await anext(upstream.generate(ASKED))
    assert caught.value.kind in (ErrorKind.UNAVAILABLE, ErrorKind.DEADLINE_EXCEEDED)
    assert len(fake.exchanges) == 1


async def test_a_long_wait_is_left_to_the_caller() -> None:
    fake = FakeOpenAi(fails(503, retry_after="60"))
    assert (await failure(fake)).retry_after == 60
    assert len(fake.exchanges) == 1


async def test_nobody_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
    async with engine_of(replace(ENTRY, base_url=url)) as upstream:
        with pytest.raises(DomainError) as caught:
            await anext(upstream.generate(ASKED))
    assert (caught.value.kind, caught.value.reason) == (ErrorKind.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")


async def silent(exchange: Exchange) -> None:
    await exchange.gone()


async def headers_only(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.gone()


async def stalls(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.send(event(HELLO[1]))
    await exchange.gone()


@pytest.mark.parametrize(
    ("behaviour", "limit"),
    [(silent, "first_byte_seconds"), (headers_only, "first_byte_seconds"), (stalls, "idle_seconds")],
)
async def test_silence_has_limits(behaviour: Behaviour, limit: str) -> None:
    fake = FakeOpenAi(behaviour)
    limits = {"first_byte_seconds": 0.1, "idle_seconds": 0.1}
    error = await failure(fake, **limits)
    assert (error.kind, error.reason) == (ErrorKind.UNAVAILABLE, "UPSTREAM_TIMEOUT")
    assert f"within 0.1 seconds: its `{limit}` in the model catalogue" in error.message
    assert len(fake.exchanges) == 1


async def test_a_generation_has_a_time_limit() -> None:
    async def dribbles(exchange: Exchange) -> None:
        await exchange.head()
        while True:
            await exchange.send(event(HELLO[1]))
            await asyncio.sleep(0.01)

    error = await failure(FakeOpenAi(dribbles), timeout=0.2)
    assert (error.kind, error.reason) == (ErrorKind.UNAVAILABLE, "UPSTREAM_TIMEOUT")
    assert "within 0.2 seconds: its `timeout` in the model catalogue" in error.message


async def test_who_leaves_closes_the_connection_and_the_pool_goes_on() -> None:
    left: list[Exchange] = []

    async def holds(exchange: Exchange) -> None:
        await stalls(exchange)
        left.append(exchange)

    fake = FakeOpenAi(*[holds] * 6, streams(*HELLO))
    async with upstream_of(fake) as upstream:
        for number in range(6):  # three times as many as the pool has connections
            async with aclosing(upstream.generate(ASKED)) as pieces:
                assert await anext(pieces) == Piece("Hel")
                if number % 2:
                    waiting = asyncio.ensure_future(anext(pieces))
                    await asyncio.sleep(0)
                    waiting.cancel()
                    await asyncio.gather(waiting, return_exceptions=True)
            await until(lambda number=number: len(left) == number + 1)
        assert len([piece async for piece in upstream.generate(ASKED)]) == 3


async def test_connections_are_kept() -> None:
    fake = FakeOpenAi(streams(*HELLO))
    async with upstream_of(fake) as upstream:
        for _ in range(5):
            assert len([piece async for piece in upstream.generate(ASKED)]) == 3
    assert fake.connections == 1


async def test_counting_is_an_estimate() -> None:
    async with upstream_of(FakeOpenAi(hangs_up)) as upstream:
        few = await upstream.count([Message(Role.USER, "x" * 400)])
        more = await upstream.count([Message(Role.USER, "x" * 400)], [TOOL])
    assert 100 <= few < 120
    assert few < more < few + 60
