"""What is read from a chat completion's body, and what is said of a bad one."""

import json
from typing import Any

import pytest
from headworks.orchestrator.v1 import run_pb2
from hypothesis import given
from hypothesis import strategies as st

from gateway.openai import chat_request
from gateway.openai.errors import BadRequest

ASK: dict[str, Any] = {"model": "rag", "messages": [{"role": "user", "content": "why?"}]}


def body(**changes: Any) -> bytes:
    return json.dumps(ASK | changes).encode()


def content(value: Any) -> bytes:
    return body(messages=[{"role": "user", "content": value}])


def test_the_least() -> None:
    chat = chat_request.parse(body())
    assert (chat.stream, chat.include_usage, chat.run.model, chat.run.collection) == (False, False, "rag", "")
    assert [(message.role, message.content) for message in chat.run.messages] == [(2, "why?")]


def test_the_most() -> None:
    messages = [{"role": role, "content": role} for role in ("system", "developer", "user", "assistant")]
    chat = chat_request.parse(
        body(
            messages=messages, stream=True, stream_options={"include_usage": True}, metadata={"collection": "cats"},
            temperature=0.5, top_p=1, max_tokens=5, seed=1, user="u", stop=["x"], presence_penalty=0, n=1, tools=[],
            response_format={"type": "text"}, logprobs=False, store=False,
        )
    )  # fmt: skip
    assert (chat.stream, chat.include_usage, chat.run.collection) == (True, True, "cats")
    assert [message.role for message in chat.run.messages] == [1, 1, 2, 3]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("why?", "why?"),
        ("", ""),
        ([{"type": "text", "text": "a"}], "a"),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "語"}], "a\n語"),
        ([], ""),
    ],
)
def test_content(value: Any, text: str) -> None:
    assert chat_request.parse(content(value)).run.messages[0].content == text


@pytest.mark.parametrize(
    "name", ["stream", "stream_options", "metadata", "n", "tools", "response_format", "logprobs", "temperature"]
)
def test_null_is_absent(name: str) -> None:
    chat_request.parse(body(**{name: None}))


@pytest.mark.parametrize(
    ("data", "param"),
    [
        (b"", ""),
        (b"{", ""),
        (b"{'model': 'rag'}", ""),
        (b'{"model": NaN}', ""),
        (b'{"model": "rag"} more', ""),
        (b"[]", ""),
        (b"null", ""),
        (b'"rag"', ""),
        (b'{"model": "\xff\xfe"}', ""),
        (b'{"model": "\\ud800"}', ""),
        (b"\xef\xbb\xbf{}", ""),
        (b"[" * 100_000, ""),
        (b"[" * 100_000 + b"]" * 100_000, ""),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, ""),
        (b"{}", "model"),
        (body(model=None), "model"),
        (body(model=""), "model"),
        (body(model=7), "model"),
        (body(model=["rag"]), "model"),
        (body(messages=None), "messages"),
        (body(messages=[]), "messages"),
        (body(messages="why?"), "messages"),
        (body(messages={"role": "user"}), "messages"),
        (body(messages=[{"role": "user", "content": "x"}] * 1001), "messages"),
        (body(messages=["why?"]), "messages[0]"),
        (body(messages=[None]), "messages[0]"),
        (body(messages=[{}]), "messages[0].role"),
        (body(messages=[{"role": "king", "content": "x"}]), "messages[0].role"),
        (body(messages=[{"role": "tool", "content": "x"}]), "messages[0].role"),
        (body(messages=[{"role": 1, "content": "x"}]), "messages[0].role"),
        (body(messages=[{"role": [], "content": "x"}]), "messages[0].role"),
        (body(messages=[*ASK["messages"], {"role": "user"}]), "messages[1].content"),
        (content(None), "messages[0].content"),
        (content(7), "messages[0].content"),
        (content({"type": "text"}), "messages[0].content"),
        (content(["x"]), "messages[0].content"),
        (content([{"type": "text"}]), "messages[0].content"),
        (content([{"type": "text", "text": 7}]), "messages[0].content"),
        (content([{"type": "image_url", "image_url": {"url": "x"}}]), "messages[0].content"),
        (body(stream="yes"), "stream"),
        (body(stream=1), "stream"),
        (body(stream_options=True), "stream_options"),
        (body(stream_options={"include_usage": 1}), "stream_options.include_usage"),
        (body(metadata="cats"), "metadata"),
        (body(metadata={"collection": 7}), "metadata.collection"),
        (body(metadata={"collection": None}), "metadata.collection"),
        (body(n=2), "n"),
        (body(n="1"), "n"),
        (body(n=0), "n"),
        (body(tools=[{"type": "function"}]), "tools"),
        (body(functions=[{"name": "f"}]), "functions"),
        (body(response_format={"type": "json_object"}), "response_format"),
        (body(audio={"voice": "x"}), "audio"),
        (body(logprobs=True), "logprobs"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_wrong_is_named(data: bytes, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        chat_request.parse(data)
    assert caught.value.details["param"] == param
    assert 0 < len(caught.value.message) < 300


def test_the_last_of_two_keys_counts() -> None:
    chat = chat_request.parse(b'{"model": "a", "model": "rag", "messages": [{"role": "user", "content": "x"}]}')
    assert chat.run.model == "rag"


def test_a_long_question_is_left_to_the_orchestrator() -> None:
    assert len(chat_request.parse(content("x" * 200_000)).run.messages[0].content) == 200_000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["model", "messages", "stream", "metadata", "n", "tools", "stream_options"]), json_values
    )
)
def test_any_json_is_read_or_refused(value: dict[str, Any]) -> None:
    try:
        chat = chat_request.parse(json.dumps(value).encode())
    except BadRequest:
        return
    assert chat.run.messages
    assert {message.role for message in chat.run.messages} <= set(run_pb2.Message.Role.values())


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(BadRequest):
        chat_request.parse(data)
