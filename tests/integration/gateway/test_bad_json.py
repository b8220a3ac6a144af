"""Bodies that are malformed, hostile or only odd: each is answered with a typed status, and the gateway goes on."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from gateway.schema.schema import SCHEMA
from gateway.usage.tables import USAGE
from services.runtime.records.database import Database
from tests.fakes.http_calls import HttpCall, Refused
from tests.fakes.openai_upstream import Exchange, FakeOpenAi, delta, raw, streams, usage
from tests.fakes.orchestrator import FakeOrchestrator, events
from tests.integration.gateway.conftest import Gateway, MakeGateway

RUN, PASSED, EMBEDDER = "rag", "gpt-passed", "all-minilm-l6-v2"
EXAMPLES = 60
# What the gateway itself may say of a body. 500 would be a mistake of its own.
OK, BAD = 200, 400
TYPED = {OK, BAD, 404}
fuzzed = settings(
    max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

ODD_TEXTS = ["", "\x00", "a\x00b", "\ufeff", "\u202e", "𝕳", "é" * 300, "<EMAIL_1>", "\r\n\r\ndata: [DONE]", "*", "a:*"]
texts = st.one_of(st.sampled_from(ODD_TEXTS), st.text(max_size=20))
numbers = st.one_of(
    st.sampled_from([0, -1, 1 << 31, 1 << 63, 1 << 64, -(1 << 63) - 1, 10**40, 1e308, -1e308, 5e-324, 0.1, 1.0]),
    st.integers(-5, 5),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
ROLES = ["system", "developer", "user", "assistant", "tool", "robot"]
FIELDS = [
    "n", "stream", "stream_options", "metadata", "tools", "tool_choice", "parallel_tool_calls", "response_format",
    "temperature", "top_p", "top_k", "min_p", "max_tokens", "max_completion_tokens", "stop", "seed", "priority",
    "presence_penalty", "frequency_penalty", "repetition_penalty", "ignore_eos", "logprobs", "functions", "user",
]  # fmt: skip


def shaped(fields: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of these fields; each as it should be, or anything."""
    return st.fixed_dictionaries({}, optional={name: st.one_of(good, values) for name, good in fields.items()})


parts = st.one_of(shaped({"type": st.just("text"), "text": texts}), values)
function = shaped({"name": st.one_of(texts, st.just("f")), "arguments": texts, "parameters": values})
message = st.one_of(
    shaped({
        "role": st.sampled_from(ROLES), "content": st.one_of(texts, st.lists(parts, max_size=3)), "name": texts,
        "tool_call_id": texts, "function_call": function, "refusal": texts,
        "tool_calls": st.lists(shaped({"id": texts, "type": st.just("function"), "function": function}), max_size=2),
    }),
    values,
)  # fmt: skip
tools = st.lists(shaped({"type": st.just("function"), "function": function}), max_size=3)
form = shaped({
    "type": st.sampled_from(["text", "json_object", "json_schema"]),
    "json_schema": shaped({"name": st.just("form"), "schema": st.dictionaries(texts, values, max_size=2)}),
})  # fmt: skip
chats = shaped(
    dict.fromkeys(FIELDS, values)
    | {
        "messages": st.lists(message, max_size=3), "stream": st.booleans(), "tools": tools, "response_format": form,
        "stream_options": shaped({"include_usage": st.booleans()}), "metadata": shaped({"collection": texts}),
    }
)  # fmt: skip
embeddings = shaped({
    "input": st.one_of(texts, st.lists(texts, max_size=3)), "dimensions": st.just(384),
    "encoding_format": st.sampled_from(["float", "base64"]), "model": texts,
})  # fmt: skip


@dataclass
class Faces:
    """A gateway before a run's model and an upstream's."""

    gateway: Gateway
    upstream: FakeOpenAi

    async def chat(self, body: bytes) -> int:
        return await status(self.gateway.chat(body))

    async def embed(self, body: bytes) -> int:
        return await status(self.gateway.embed_raw(body))


async def status(call: HttpCall) -> int:
    """How a call ended. One that failed has said why."""
    try:
        assert [message async for message in call]
    except Refused as refused:
        failed = refused
    else:
        return OK
    assert failed.error["message"]
    assert failed.error["code"]
    return failed.status


@pytest.fixture
async def faces(make_gateway: MakeGateway, tmp_path: Path) -> AsyncIterator[Faces]:
    """They answer an honest question still when the test is over."""
    async with opened(make_gateway, tmp_path) as faces:
        yield faces


@pytest.fixture
async def recorded(records_url: str, make_gateway: MakeGateway, tmp_path: Path) -> AsyncIterator[Faces]:
    """The same, with their records in either database."""
    async with opened(make_gateway, tmp_path, records_url=records_url) as faces:
        yield faces


async def yes(exchange: Exchange) -> None:
    """Answers as it is asked: whole or streamed."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}
    whole = raw(json.dumps({**usage(3, 1), "choices": [choice]}).encode(), kind="application/json")
    streamed = streams(delta(content="Yes."), delta("stop"), usage(3, 1))
    await (streamed if exchange.body.get("stream") else whole)(exchange)


@asynccontextmanager
async def opened(make_gateway: MakeGateway, folder: Path, **more: Any) -> AsyncIterator[Faces]:
    async with FakeOpenAi(yes).serving() as upstream:
        file = folder / "upstreams.yaml"
        file.write_text(f"models: {{{PASSED}: {{base_url: '{upstream.url}'}}}}")
        orchestrator = FakeOrchestrator(events("It is so."))
        gateway = await make_gateway(orchestrator, upstreams_file=file, **more)
        yield Faces(gateway, upstream)
        assert await status(gateway.chat()) == OK


def asked(model: str = RUN, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "why?"}], "stream": True} | fields


@given(body=st.binary(max_size=60))
@fuzzed
async def test_bytes(faces: Faces, body: bytes) -> None:
    assert await faces.chat(body) == BAD
    assert await faces.embed(body) == BAD


@given(body=values)
@fuzzed
async def test_json_of_another_shape(faces: Faces, body: Any) -> None:
    sent = json.dumps(body).encode()
    assert await faces.chat(sent) == BAD
    assert await faces.embed(sent) == BAD


@given(body=chats, whole=st.booleans())
@fuzzed
async def test_a_run_s_model(faces: Faces, body: dict[str, Any], whole: bool) -> None:
    sent = (asked() if whole else {"model": RUN}) | body
    assert await faces.chat(json.dumps(sent).encode()) in TYPED


@given(body=chats, whole=st.booleans())
@fuzzed
async def test_an_upstream_s_model(faces: Faces, body: dict[str, Any], whole: bool) -> None:
    sent = (asked(PASSED) if whole else {"model": PASSED}) | body
    assert await faces.chat(json.dumps(sent).encode()) in TYPED


@given(model=values)
@fuzzed
async def test_names_of_models(recorded: Faces, model: Any) -> None:
    assert await recorded.chat(json.dumps(asked(model)).encode()) in TYPED


@given(body=embeddings)
@fuzzed
async def test_embeddings(faces: Faces, body: dict[str, Any]) -> None:
    assert await faces.embed(json.dumps({"model": EMBEDDER, "input": "why?"} | body).encode()) in TYPED


@pytest.mark.parametrize("model", [RUN, PASSED])
@pytest.mark.parametrize(
    ("head", "opening", "closing"),
    [
        ('"messages": [{"role": "user", "content": ', '{"content": ', "}"),
        ('"messages": [{"role": "user", "content": ', '[{"content": ', "}]"),
        ('"tools": ', "[", "]"),
        ('"tools": [{"type": "function", "function": {"name": "f", "parameters": ', '{"a": ', "}"),
        ('"response_format": {"type": "json_schema", "json_schema": {"name": "f", "schema": ', '{"a": ', "}"),
        ('"user": ', "[", "]"),
    ],
    ids=["contents", "parts", "tools", "parameters", "schema", "ignored"],
)
async def test_nesting(faces: Faces, model: str, head: str, opening: str, closing: str) -> None:
    ends = "".join({"[": "]", "{": "}"}[one] for one in reversed(head) if one in "[{")
    base = json.dumps(asked(model))[:-1]
    for depth in (40, 90, 101, 255, 500, 1023, 100_000):
        sent = f"{base}, {head}{opening * depth}1{closing * depth}{ends}}}"
        found = await faces.chat(sent.encode())
        assert (found in TYPED) if depth < 100 else (found == BAD), depth


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"model":' * 100_000, b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}"],
    ids=["open", "objects", "closed"],
)
async def test_a_hundred_thousand_brackets(faces: Faces, body: bytes) -> None:
    assert await faces.chat(body) == BAD
    assert await faces.embed(body) == BAD


@pytest.mark.parametrize("model", [RUN, PASSED])
@pytest.mark.parametrize(
    "content",
    [rb'"\ud800"', rb'"\udc00\ud800"', b'"\xed\xa0\x80"', b'"\xff"', b'"\x00"', b'"\n"', rb'"\x41"', b"'a'", b"NaN",
     b"Infinity", b"1e400", b"-", b"01", b"tru", b'"a" /* why */', b'"a",'],
)  # fmt: skip
async def test_what_is_no_json(faces: Faces, model: str, content: bytes) -> None:
    """Lone surrogates and numbers beyond all measure too: what one reader takes for this another takes for that."""
    body = b'{"model": "%s", "messages": [{"role": "user", "content": %s}]}' % (model.encode(), content)
    assert await faces.chat(body) == BAD
    assert await faces.embed(b'{"model": "%s", "input": %s}' % (EMBEDDER.encode(), content)) == BAD


@pytest.mark.parametrize("content", ["a\x00b", "\x00", "\u202eabc", "e\u0301" * 50, "\U0001f600", "\ufeff", "\u2028"])
async def test_odd_characters_arrive_as_they_are(faces: Faces, content: str) -> None:
    message = [{"role": "user", "content": content}]
    assert await faces.chat(json.dumps(asked(messages=message)).encode()) == OK
    assert faces.gateway.orchestrator.runs[-1].messages[0].content == content
    assert await faces.chat(json.dumps(asked(PASSED, messages=message)).encode()) == OK
    assert faces.upstream.bodies[-1]["messages"] == message


async def test_of_a_name_given_twice_the_last_counts_everywhere(faces: Faces) -> None:
    """What is screened and what is asked are the same: nobody can show the guards one text and the model another."""
    messages = b'"messages": [{"role": "user", "content": "first", "content": "second"}]'
    body = b'{"model": "other", "model": "%s", "stream": false, "stream": true, ' + messages + b"}"
    assert await faces.chat(body % RUN.encode()) == OK
    (run,) = faces.gateway.orchestrator.runs
    assert (run.model, [one.content for one in run.messages]) == (RUN, ["second"])
    assert await faces.chat(body % PASSED.encode()) == OK
    assert faces.upstream.bodies[-1]["messages"] == [{"role": "user", "content": "second"}]


@pytest.mark.parametrize(
    "fields",
    [{"max_tokens": 1 << 64}, {"max_tokens": 1e308}, {"max_completion_tokens": 10**400}, {"max_tokens": True}],
    ids=["over 64 bits", "a float", "over all bits", "a boolean"],
)
@pytest.mark.parametrize("model", [RUN, PASSED])
async def test_huge_numbers(faces: Faces, model: str, fields: dict[str, Any]) -> None:
    assert await faces.chat(json.dumps(asked(model, **fields)).encode()) == BAD


async def test_the_books_have_every_call_whatever_its_model_s_name(recorded: Faces, records_url: str) -> None:
    names = ["a\x00b", "\x00", "\u202e", "𝕳", "x" * 5000, "honest"]
    for name in names:
        assert await recorded.chat(json.dumps(asked(name)).encode()) in TYPED
    database = Database(records_url, SCHEMA)
    await database.open()
    async with database.read() as connection:
        kept = list(await connection.scalars(select(USAGE.c.agent)))
    await database.aclose()
    assert kept == ["ab", "", "\u202e", "𝕳", "x" * 128, "honest"]
