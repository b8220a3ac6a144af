"""What a caller asks of an upstream."""

import json
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.calls.bare_fields import FieldNotAllowed, restrict
from gateway.calls.bare_request import BareRequest
from gateway.faces.http.openai import fields
from gateway.faces.http.openai.bare_request import parse
from gateway.faces.http.openai.errors import BadRequest
from services.llm.catalogue.entry import CatalogueEntry, EngineKind

UPSTREAM = CatalogueEntry("small", EngineKind.OPENAI, base_url="http://x/v1", model="small-2026")
USER = {"role": "user", "content": "why?"}


def asked(**more: Any) -> BareRequest:
    return parse({"model": "small", "messages": [USER], **more})


def wire(one: BareRequest, entry: CatalogueEntry = UPSTREAM) -> Any:
    restrict(one.body, entry)
    return json.loads(one.wire(entry))


def test_what_bears_on_the_answer_alone_is_passed_on() -> None:
    more = {"temperature": 0.5, "seed": 7, "logit_bias": {"1": 2}, "reasoning_effort": "low", "user": "u"}
    assert wire(asked(**more)) == {"model": "small-2026", "messages": [USER], **more}


COSTLY: list[tuple[str, Any]] = [
    ("n", 2), ("best_of", 3), ("min_tokens", 100), ("models", ["large"]), ("fallbacks", [{"model": "large"}]),
    ("provider", {"order": ["x"]}), ("route", "fallback"), ("transforms", ["middle-out"]), ("plugins", [{"id": "web"}]),
    ("service_tier", "priority"), ("web_search_options", {"search_context_size": "high"}), ("modalities", ["audio"]),
    ("use_beam_search", True), ("extra_body", {"n": 9}), ("chat_template", "{{ x }}"), ("priority", -1),
    ("unheard_of", [1]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), COSTLY, ids=[name for name, _ in COSTLY])
def test_what_the_operator_does_not_allow_is_refused(name: str, value: Any) -> None:
    one = asked(**{name: value})
    with pytest.raises(FieldNotAllowed, match=f"passes: \\[{name}\\]") as caught:
        restrict(one.body, UPSTREAM)
    assert caught.value.details["param"] == name


@pytest.mark.parametrize("allowed", ["its own name", "*"])
@pytest.mark.parametrize(("name", "value"), COSTLY, ids=[name for name, _ in COSTLY])
def test_what_the_operator_allows_goes_on(name: str, value: Any, allowed: str) -> None:
    entry = replace(UPSTREAM, passes=frozenset({name if allowed != "*" else allowed}))
    assert wire(asked(**{name: value}), entry)[name] == value


@pytest.mark.parametrize(
    "body",
    [
        {"n": 1}, {"n": None}, {"best_of": 1}, {"min_tokens": 0}, {"models": []}, {"service_tier": "auto"},
        {"service_tier": None}, {"modalities": ["text"]}, {"use_beam_search": False}, {"metadata": {"a": "b"}},
        {"store": True}, {"unheard_of": None},
    ],
    ids=repr,
)  # fmt: skip
def test_what_says_nothing_is_left_out(body: dict[str, Any]) -> None:
    assert wire(asked(**body)) == {"model": "small-2026", "messages": [USER]}


@pytest.mark.parametrize(
    ("tool", "passes", "goes_on"),
    [
        ({"type": "function", "function": {"name": "f"}}, (), True),
        ({"type": "custom", "custom": {"name": "f"}}, (), True),
        ({"type": "web_search"}, (), False),
        ({"type": "web_search"}, ("web_search",), True),
        ({"type": "code_interpreter", "container": {}}, ("web_search",), False),
    ],
)
def test_a_tool_that_an_upstream_runs_needs_its_operators_word(
    tool: dict[str, Any], passes: tuple[str, ...], goes_on: bool
) -> None:
    entry = replace(UPSTREAM, passes=frozenset(passes))
    with nullcontext() if goes_on else pytest.raises(FieldNotAllowed, match=r"tools\[0\]"):
        assert wire(asked(tools=[tool]), entry)["tools"] == [tool]


@pytest.mark.parametrize(
    ("limits", "room", "sent"),
    [
        ({}, None, {}),
        ({}, 300, {"max_tokens": 300}),
        ({}, 1 << 20, {}),
        ({"max_completion_tokens": 100}, 300, {"max_completion_tokens": 100}),
        ({"n": 3}, 300, {"n": 3, "max_tokens": 100}),
        ({"max_tokens": None}, 300, {"max_tokens": 300}),
    ],
)
def test_an_answer_without_a_limit_has_what_the_budgets_leave(
    limits: dict[str, Any], room: int | None, sent: dict[str, Any]
) -> None:
    entry = replace(UPSTREAM, passes=frozenset({"n"}))
    one = asked(**limits)
    one.bound(room, entry)
    assert {name: value for name, value in wire(one, entry).items() if name not in ("model", "messages")} == sent


def test_the_operator_names_the_field_of_the_limit() -> None:
    one = asked()
    one.bound(9000, replace(UPSTREAM, longest_answer=10_000, limit_field="max_completion_tokens"))
    assert one.body["max_completion_tokens"] == 9000


@pytest.mark.parametrize("content", ["Keep it.", [{"type": "text", "text": "Keep it."}]])
def test_instructions_are_what_is_to_be_kept_in_every_form(content: Any) -> None:
    one = asked(messages=[{"role": "system", "content": content}, USER])
    assert one.asked(UPSTREAM, one.texts, 1).instructions == "Keep it."


def test_a_stream_always_asks_for_the_usage() -> None:
    one = asked(stream=True, stream_options={"include_usage": False, "include_obfuscation": False})
    assert not one.include_usage
    assert wire(one)["stream_options"] == {"include_usage": True, "include_obfuscation": False}
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
        ({"n": 3}, 3072),
        ({"n": 2, "best_of": 5, "max_tokens": 10}, 50),
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
        ({"model": "small", "messages": [USER], "n": "2"}, "n"),
        ({"model": "small", "messages": [USER], "n": 0}, "n"),
        ({"model": "small", "messages": [USER], "n": 129}, "n"),
        ({"model": "small", "messages": [USER], "best_of": True}, "best_of"),
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
