"""What a caller asks of an upstream."""

import json
from contextlib import nullcontext, suppress
from copy import deepcopy
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
from services.llm.chat import Priority

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


@pytest.mark.parametrize(("said", "batch"), [(-1, False), ("interactive", False), (7, True), ("batch", True)])
def test_the_class_of_a_call_is_for_the_gateway(said: Any, batch: bool) -> None:
    one = asked(priority=said)
    assert (one.priority is Priority.BATCH, "priority" in wire(one)) == (batch, False)


COSTLY: list[tuple[str, Any]] = [
    ("n", 2), ("best_of", 3), ("min_tokens", 100), ("models", ["large"]), ("fallbacks", [{"model": "large"}]),
    ("provider", {"order": ["x"]}), ("route", "fallback"), ("transforms", ["middle-out"]), ("plugins", [{"id": "web"}]),
    ("service_tier", "priority"), ("web_search_options", {"search_context_size": "high"}), ("modalities", ["audio"]),
    ("use_beam_search", True), ("extra_body", {"n": 9}), ("chat_template", "{{ x }}"),
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


@pytest.mark.parametrize(
    ("longest", "sent"), [(0, {"max_completion_tokens": 9000}), (4000, {"max_completion_tokens": 4000})]
)
def test_a_limit_of_another_form_goes_on_by_the_upstreams_name(longest: int, sent: dict[str, int]) -> None:
    """And as far as the model writes; of the caller's own form it goes on as it is."""
    entry = replace(UPSTREAM, limit_field="max_completion_tokens", longest_answer=longest)
    body = {"model": "small", "messages": [USER], "max_tokens": 9000}
    one = BareRequest(body, "small", False, False, translated=True)
    assert wire(one, entry) == {"model": "small-2026", "messages": [USER], **sent}
    assert one.answer_tokens(entry) == 9000
    assert wire(BareRequest(body, "small", False, False), entry)["max_tokens"] == 9000


def test_the_operator_names_the_field_of_the_limit() -> None:
    one = asked()
    entry = replace(UPSTREAM, longest_answer=10_000, limit_field="max_completion_tokens")
    one.bound(9000, entry)
    assert wire(one, entry)["max_completion_tokens"] == 9000
    assert wire(one, UPSTREAM)["max_tokens"] == 9000, "another target of the route"


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
    call = {"id": "h", "function": {"name": "i", "arguments": "d"}}
    messages = [
        {"role": "system", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "image_url", "image_url": {"url": "u"}}]},
        {"role": "assistant", "content": None, "refusal": "c", "tool_calls": [call]},
        {"role": "assistant", "content": "e", "function_call": {"name": "j", "arguments": "f"}},
        {"role": "tool", "tool_call_id": "h", "content": "g"},
    ]  # fmt: skip
    one = parse({"model": "small", "messages": messages})
    assert one.texts == list("abuchidejfhg")
    one.put([text.upper() for text in one.texts])
    sent = wire(one)["messages"]
    assert sent[1]["content"][0]["text"] == "B"
    assert sent[2]["tool_calls"][0] == {"id": "H", "function": {"name": "I", "arguments": "D"}}
    assert sent[3]["function_call"]["arguments"] == "F"
    assert sent[4]["tool_call_id"] == "H"


FUNCTION = {"name": "x", "description": "secret", "parameters": {"type": "object", "properties": {}}}
SCHEMA = {"type": "object", "properties": {"secret": {"type": "string", "enum": ["secret"], "default": "secret"}}}
FIELDS: list[dict[str, Any]] = [
    {"tools": [{"type": "function", "function": FUNCTION}]},
    {"tools": [{"type": "function", "function": {"name": "x", "parameters": SCHEMA}}]},
    {"tools": [{"type": "custom", "custom": {"name": "x", "format": {"type": "grammar", "definition": "secret"}}}]},
    {"tools": [{"type": "secret"}]},
    {"functions": [FUNCTION]},
    {"function_call": {"name": "secret"}},
    {"tool_choice": {"type": "function", "function": {"name": "secret"}}},
    {"prediction": {"type": "content", "content": "secret"}},
    {"prediction": {"type": "content", "content": [{"type": "text", "text": "secret"}]}},
    {"stop": "secret"},
    {"stop": ["end", "secret"]},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
    {"documents": [{"title": "secret", "text": "secret"}, "secret"]},
    {"user": "secret", "metadata": {"secret": "secret"}},
    {"chat_template_kwargs": {"unheard_of": [["secret"]]}},
]
SAYS: list[dict[str, Any]] = [
    {"content": "secret"},
    {"content": ["a", "secret", {"text": "secret"}, ["secret"]]},
    {"content": {"text": "secret"}},
    {"content": [{"type": "unheard of", "value": {"deep": "secret"}}]},
    {"content": [{"type": "image_url", "image_url": "secret"}]},
    {"content": [{"type": "image_url", "image_url": {"url": "https://x/secret"}}]},
    {"content": "a", "name": "secret"},
    {"content": "a", "reasoning_details": [{"type": "reasoning.text", "text": "secret"}]},
    {"content": "a", "reasoning_content": "secret"},
    {"content": None, "tool_calls": [{"id": "secret", "custom": {"name": "secret", "input": "secret"}}]},
    {"content": None, "tool_calls": [{"id": "1", "function": {"name": "x", "arguments": {"secret": ["secret"]}}}]},
    {"content": "a", "audio": {"id": "secret"}},
    {"content": "a", "unheard of": {"secret": "secret"}},
    {"content": "a", "secret": True},
]


@pytest.mark.parametrize(
    "body", [*FIELDS, *({"messages": [{"role": "user", **said}]} for said in SAYS)], ids=json.dumps
)
def test_every_text_of_a_request_is_read_and_counted(body: dict[str, Any]) -> None:
    one = asked(**deepcopy(body))
    assert any("secret" in text for text in one.texts)
    unread = {"stop", "user", "function_call", "tool_choice"}
    assert unread & set(body) or "secret" in "".join(one.counted)
    one.put([text.replace("secret", "█") for text in one.texts])
    assert "secret" not in one.wire(UPSTREAM).decode()
    assert "secret" not in "".join([*one.texts, *one.counted])


@pytest.mark.parametrize("value", [4111111111111111, -4111111111111111, 41111111.5])
def test_a_number_that_says_something_is_read_too(value: float) -> None:
    arguments = {"function": {"name": "f", "arguments": {"card": value, "few": 12}}}
    one = asked(messages=[{"role": "assistant", "content": [value], "tool_calls": [arguments]}], seed=4111111111111111)
    assert one.texts == [str(value), "f", "card", str(value), "few"]
    one.put(["a", "f", "card", "b", "few"])
    [sent] = wire(one)["messages"]
    assert sent["content"] == ["a"]
    assert sent["tool_calls"][0]["function"]["arguments"] == {"card": "b", "few": 12}


def test_what_messages_say_is_read_one_behind_the_other() -> None:
    parts = [{"type": "text", "text": "a"}, "b", {"type": "image_url", "image_url": {"url": "u"}}]
    one = asked(messages=[USER, {"role": "user", "name": "n", "content": parts}], stop="s")
    flows = one.asked(UPSTREAM, one.texts, 1).flows
    assert [[one.texts[at] for at in flow] for flow in flows] == [["why?"], ["a", "b"]]


KEY = "sk-" + "a1" * 40
HIDING: list[dict[str, Any]] = [
    {"content": f"data:image/png;base64,{KEY}"},
    {"content": [{"type": "text", "text": f"data:image/png;base64,{KEY}"}]},
    {"content": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64, {KEY}"}}]},
    {"content": [{"type": "x", "data": KEY}]},
    {"tool_calls": [{"function": {"arguments": {"data": KEY, "format": "x", "signature": KEY, "url": f"data:{KEY}"}}}]},
]


@pytest.mark.parametrize("said", HIDING)
def test_text_is_text_though_it_looks_like_a_picture(said: dict[str, Any]) -> None:
    one = asked(messages=[{"role": "user", **said}])
    assert KEY in "".join(one.texts)
    one.put([text.replace(KEY, "") for text in one.texts])
    assert KEY not in one.wire(UPSTREAM).decode()


PDF = {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"messages": [USER, {"role": "user", "content": [PDF]}]}, "messages[1].content[0].file.file_data"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
         "messages[0].content[0].file.file_id"),
        ({"tools": [{"function": {"name": "f", "parameters": {"properties": {"file_id": {"type": "string"}}}}}]}, ""),
        ({"messages": [{"role": "user", "content": "data: it is"}]}, ""),
        ({"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": {"file_id": "f"}}}]}]}, ""),
        ({"messages": [{"role": "user", "content": [{"type": "x", "url": "data:text/plain,hello"}]}]},
         "messages[0].content[0].url"),
        ({"prompt_token_ids": [1, 2]}, "prompt_token_ids"),
        ({"previous_response_id": "r"}, "previous_response_id"),
        ({"messages": [{"role": "user", "content": [{"image_url": {"url": "data:image/png;base64,AA"}}]}]}, ""),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "A" * 99}}]}]}, ""),
        ({"messages": [{"role": "user", "content": [{"type": "document", "source":
         {"type": "base64", "media_type": "text/plain", "data": "YW5uQGNvcnAuaW8="}}]}]},
         "messages[0].content[0].source.data"),
        ({"messages": [{"role": "user", "content": [{"type": "document", "source":
         {"type": "text", "media_type": "text/plain", "data": "hello"}}]}]}, ""),
        ({"messages": [{"role": "user", "content": [{"source": {"media_type": "image/png", "data": "A" * 99}}]}]}, ""),
        ({"messages": [{"role": "user", "content": [{"source": {"media_type": "image/svg+xml", "data": "A" * 99}}]}]},
         "messages[0].content[0].source.data"),
        ({"messages": [{"role": "user", "content": [{"image_url": {"url": "data:image/svg+xml;base64,AA"}}]}]},
         "messages[0].content[0].image_url.url"),
        ({}, ""),
    ],
)  # fmt: skip
def test_what_only_a_model_can_read_is_named(body: dict[str, Any], path: str) -> None:
    one = asked(**body)
    assert one.asked(UPSTREAM, one.texts, 1).unread == path


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"modalities": ["text"]}, ""),
    ],
)
def test_a_wish_for_an_answer_to_be_heard_is_named(body: dict[str, Any], field: str) -> None:
    one = asked(**body)
    assert one.asked(UPSTREAM, one.texts, 1).speaks == field


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


WITHIN: list[tuple[dict[str, Any], str, str]] = [
    ({"chat_template_kwargs": {"chat_template": "{{ x }}"}}, "chat_template", "chat_template_kwargs.chat_template"),
    ({"chat_template_kwargs": {"tokenize": True}}, "tokenize", "chat_template_kwargs.tokenize"),
    ({"chat_template_kwargs": {"add_generation_prompt": "x"}}, "add_generation_prompt",
     "chat_template_kwargs.add_generation_prompt"),
    ({"chat_template_kwargs": {"documents": [{"text": "x"}]}}, "documents", "chat_template_kwargs.documents"),
    ({"chat_template_kwargs": {"tools": [{}]}}, "tools", "chat_template_kwargs.tools"),
    ({"reasoning": {"n": 3}}, "n", "reasoning.n"),
    ({"thinking": {"type": "enabled", "models": ["x"]}}, "models", "thinking.models"),
    ({"prediction": {"type": "content", "content": "x", "n": 2}}, "n", "prediction.n"),
    ({"tool_choice": {"type": "function", "web_search": {"x": 1}}}, "web_search", "tool_choice.web_search"),
    ({"response_format": {"type": "text", "plugins": [1]}}, "plugins", "response_format.plugins"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}, {"function": {}, "search": {"x": 1}}]},
     "search", "tools[1].search"),
    ({"tools": [{"function": {"name": "f"}, "web_search": {"x": 1}}]}, "web_search", "tools[0].web_search"),
    ({"tools": [{"type": "function", "function": {"name": "f", "n": 3}}]}, "n", "tools[0].function.n"),
    ({"functions": [{"name": "f", "n": 3}]}, "n", "functions[0].n"),
    ({"tools": [{"type": ["web_search"]}]}, "['web_search']", "tools[0]"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "name", "param"), WITHIN, ids=[param for _, _, param in WITHIN])
def test_what_is_refused_is_refused_within_other_fields(body: dict[str, Any], name: str, param: str) -> None:
    one = BareRequest({"model": "small", "messages": [USER], **deepcopy(body)}, "small", False, False)
    with pytest.raises(FieldNotAllowed) as caught:
        restrict(one.body, UPSTREAM)
    assert caught.value.details["param"] == param
    if name.isidentifier():
        restrict(one.body, replace(UPSTREAM, passes=frozenset((name,))))
        assert one.body == {"model": "small", "messages": [USER], **body}


def test_what_says_nothing_is_left_out_within_other_fields() -> None:
    kwargs = {"enable_thinking": False, "add_generation_prompt": True, "documents": None}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"n": 3}}, "web_search": None}
    body = wire(asked(chat_template_kwargs=kwargs, tools=[tool], reasoning={"effort": "low"}))
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body["tools"] == [{"type": "function", "function": {"name": "f", "parameters": {"n": 3}}}]


def test_texts_of_a_list_are_read_one_behind_the_other() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": {"a": "4111 ", "b": ["1111", "11"]}}}
    said = [{"type": "text", "text": "x"}, {"type": "text", "text": "y"}]
    messages = [{"role": "assistant", "content": said, "tool_calls": [call]}]
    body = {
        "messages": messages,
        "prediction": {"type": "content", "content": [{"text": "a"}, {"text": "b"}]},
        "stop": ["c", "d"],
        "user": "u",
    }
    one = BareRequest(body, "small", False, False)
    asked = one.asked(UPSTREAM, one.texts, 0)
    assert [[one.texts[at] for at in each] for each in asked.flows] == [["x", "y"]]
    assert [[one.texts[at] for at in each] for each in asked.lists] == [["4111 ", "1111", "11"], ["a", "b"], ["c", "d"]]


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 40_000}}, 1000),
        ({"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}, 1000),
        ({"type": "input_audio", "input_audio": {"data": "A" * 51_200, "format": "wav"}}, 100),
        ({"type": "text", "text": "x"}, 0),
    ],
)
def test_pictures_and_sounds_have_tokens(part: dict[str, Any], tokens: int) -> None:
    one = BareRequest({"messages": [{"role": "user", "content": [part]}]}, "small", False, False)
    assert one.media == tokens


@pytest.mark.parametrize("instructed", [True, False])
def test_a_prompt_is_in_the_order_in_which_models_read_it(instructed: bool) -> None:
    system = [{"role": "developer", "content": "be brief"}] if instructed else []
    tools = [{"type": "function", "function": {"name": "find"}}]
    one = asked(messages=[*system, USER], tools=tools)
    assert [json.loads(part) for part in one.in_reading_order] == [*system, *tools, USER]
