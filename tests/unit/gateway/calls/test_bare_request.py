"""What a caller asks of an upstream."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.calls.bare_request import BareRequest
from gateway.faces.http.openai import fields
from gateway.faces.http.openai.bare_request import parse
from gateway.faces.http.openai.errors import BadRequest
from services.llm.catalogue.entry import CatalogueEntry, EngineKind

UPSTREAM = CatalogueEntry("small", EngineKind.OPENAI, base_url="http://x/v1", model="small-2026")
USER = {"role": "user", "content": "why?"}


def asked(**more: Any) -> BareRequest:
    return parse({"model": "small", "messages": [USER], **more})


def wire(one: BareRequest) -> Any:
    return json.loads(one.wire(UPSTREAM))


def test_all_but_the_model_is_passed_on() -> None:
    more = {"temperature": 0.5, "seed": 7, "logit_bias": {"1": 2}, "unheard_of": [1]}
    assert wire(asked(**more)) == {"model": "small-2026", "messages": [USER], **more}


@pytest.mark.parametrize("content", ["Keep it.", [{"type": "text", "text": "Keep it."}]])
def test_instructions_are_what_is_to_be_kept_in_every_form(content: Any) -> None:
    one = asked(messages=[{"role": "system", "content": content}, USER])
    assert one.asked(UPSTREAM, one.texts, 1).instructions == "Keep it."


def test_a_stream_always_asks_for_the_usage() -> None:
    one = asked(stream=True, stream_options={"include_usage": False, "other": 1})
    assert not one.include_usage
    assert wire(one)["stream_options"] == {"include_usage": True, "other": 1}
    assert "stream_options" not in wire(asked())


def test_a_name_given_twice_is_the_same_for_both_sides() -> None:
    said = b'"messages": [{"role": "user", "content": "%s"}]'
    body = b"{%s, %s, %s}" % (b'"model": "small"', said % b"bad", said % b"good")
    one = parse(fields.parse(body))
    assert one.texts == ["good"]
    assert b"bad" not in one.wire(UPSTREAM)


def test_texts_are_found_and_replaced_wherever_they_stand() -> None:
    call = {"id": "1", "function": {"name": "f", "arguments": "d"}}
    messages = [
        {"role": "system", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "image_url", "image_url": {"url": "u"}}]},
        {"role": "assistant", "content": None, "refusal": "c", "tool_calls": [call]},
        {"role": "assistant", "content": "e", "function_call": {"name": "f", "arguments": "f"}},
        {"role": "tool", "tool_call_id": "1", "content": "g"},
    ]  # fmt: skip
    one = parse({"model": "small", "messages": messages})
    assert one.texts == list("abcdefg")
    one.put(list("ABCDEFG"))
    sent = wire(one)["messages"]
    assert sent[1]["content"][0]["text"] == "B"
    assert sent[2]["tool_calls"][0]["function"] == {"name": "f", "arguments": "D"}
    assert sent[3]["function_call"]["arguments"] == "F"


@pytest.mark.parametrize(
    ("limits", "tokens"),
    [
        ({}, 1024),
        ({"max_tokens": 5}, 5),
        ({"max_tokens": 5, "max_completion_tokens": 9}, 9),
        ({"max_tokens": 100_000, "max_completion_tokens": 1}, 100_000),
        ({"max_completion_tokens": 1, "max_output_tokens": 50, "min_tokens": 7}, 50),
        ({"max_tokens": None}, 1024),
    ],
)
def test_an_answer_is_reserved_for_as_long_as_it_may_be(limits: dict[str, Any], tokens: int) -> None:
    assert asked(**limits).answer_tokens(UPSTREAM) == tokens


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": [USER]}, "model"),
        ({"model": "small"}, "messages"),
        ({"model": "small", "messages": []}, "messages"),
        ({"model": "small", "messages": "why?"}, "messages"),
        ({"model": "small", "messages": [USER] * 1001}, "messages"),
        ({"model": "small", "messages": [USER, "why?"]}, "messages[1]"),
        ({"model": "small", "messages": [{"content": "why?"}]}, "messages[0]"),
        ({"model": "small", "messages": [USER], "n": 2}, "n"),
        ({"model": "small", "messages": [USER], "stream": 1}, "stream"),
        ({"model": "small", "messages": [USER], "stream_options": []}, "stream_options"),
        ({"model": "small", "messages": [USER], "max_tokens": -1}, "max_tokens"),
        ({"model": "small", "messages": [USER], "max_tokens": True}, "max_tokens"),
    ],
)
def test_a_bad_body_names_its_field(body: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(body)
    assert caught.value.details["param"] == param


NAMES = st.sampled_from(["role", "content", "text", "tool_calls", "function", "arguments", "model", "messages", "n"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
)


@settings(deadline=None)
@given(VALUES)
def test_whatever_comes_is_taken_or_refused(value: Any) -> None:
    for messages in ([{"role": "user", "content": value}], value):
        body = json.dumps({"model": "small", "messages": messages}).encode()
        with suppress(BadRequest):
            one = parse(fields.parse(body))
            one.put(one.texts)
            assert one.wire(UPSTREAM)
