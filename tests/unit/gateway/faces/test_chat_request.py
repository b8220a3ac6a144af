"""What is read from a chat completion's body, and what is said of a bad one."""

import json
from typing import Any

import pytest
from headworks.orchestrator.v1 import generation_pb2, run_pb2, tool_pb2
from headworks.retrieval.v1.retrieval_service_pb2 import Condition, Filter
from hypothesis import given
from hypothesis import strategies as st

from gateway.faces.http.openai import chat_request
from gateway.faces.http.openai.errors import BadRequest

ASK: dict[str, Any] = {"model": "rag", "messages": [{"role": "user", "content": "why?"}]}


def body(**changes: Any) -> bytes:
    return json.dumps(ASK | changes).encode()


def tool(name: Any, **function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **function}}


def assistant(*calls: Any, **fields: Any) -> bytes:
    return body(messages=[{"role": "assistant", "content": None, "tool_calls": list(calls), **fields}])


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
    sampling = chat.run.sampling
    assert (sampling.temperature, sampling.top_p, sampling.max_tokens, sampling.seed) == (0.5, 1, 5, 1)
    assert (list(sampling.stop), sampling.HasField("presence_penalty"), sampling.HasField("top_k")) == (
        ["x"], True, False,
    )  # fmt: skip
    assert chat.run.response_format.kind == generation_pb2.ResponseFormat.KIND_TEXT


def test_which_documents_are_read() -> None:
    named = {"filter.team": "hydro", "filter.media_type": ["text/html", "text/plain"], "filter": "no key", "team": "x"}
    assert chat_request.parse(body(metadata=named)).run.filter == Filter(
        must=[
            Condition(field="metadata.team", any_of=["hydro"]),
            Condition(field="media_type", any_of=["text/html", "text/plain"]),
        ]
    )


def test_what_is_left_out_is_left_to_the_agent() -> None:
    run = chat_request.parse(body()).run
    left = ("sampling", "response_format", "tool_choice", "filter")
    assert not any(run.HasField(name) for name in left)  # type: ignore[arg-type]  # names of fields
    assert (run.priority, run.serial_tool_calls, run.session_id) == (0, False, "")


def test_what_vllm_adds() -> None:
    run = chat_request.parse(
        body(
            top_k=-1, min_p=0.25, repetition_penalty=1.5, ignore_eos=True, priority=3, max_tokens=9,
            max_completion_tokens=7, frequency_penalty=-2, stop="end", metadata={"session_id": "s-1"},
            parallel_tool_calls=False,
        )
    ).run  # fmt: skip
    assert run.sampling == generation_pb2.Sampling(
        top_k=0, min_p=0.25, repetition_penalty=1.5, ignore_eos=True, max_tokens=7, frequency_penalty=-2, stop=["end"]
    )
    assert (run.priority, run.session_id, run.serial_tool_calls) == (generation_pb2.PRIORITY_BATCH, "s-1", True)


@pytest.mark.parametrize(("value", "priority"), [("interactive", 1), ("batch", 2), (0, 1), (-5, 1), (1, 2)])
def test_priorities(value: Any, priority: int) -> None:
    assert chat_request.parse(body(priority=value)).run.priority == priority


def test_tools() -> None:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    run = chat_request.parse(
        body(
            tools=[tool("weather", description="Tells.", parameters=parameters, strict=True), tool("now")],
            tool_choice={"type": "function", "function": {"name": "weather"}},
        )
    ).run
    assert [(one.name, one.description) for one in run.tools] == [("weather", "Tells."), ("now", "")]
    assert (json.loads(run.tools[0].parameters), run.tools[1].parameters) == (parameters, "")
    assert (run.tool_choice.mode, run.tool_choice.function) == (tool_pb2.ToolChoice.MODE_FUNCTION, "weather")


@pytest.mark.parametrize(("value", "mode"), [("auto", 1), ("none", 2), ("required", 3)])
def test_tool_choices(value: str, mode: int) -> None:
    assert chat_request.parse(body(tool_choice=value)).run.tool_choice.mode == mode


def test_calls_and_their_results() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{"}}
    messages = [
        *ASK["messages"],
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "noon"}], "name": "now"},
    ]
    _, asked, result = chat_request.parse(body(messages=messages)).run.messages
    assert (asked.content, list(asked.tool_calls)) == (
        "", [tool_pb2.ToolCall(id="call_1", name="now", arguments="{")],
    )  # fmt: skip
    assert (result.role, result.tool_call_id, result.content, result.name) == (4, "call_1", "noon", "now")


def test_an_answer_by_schema() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    given = {"type": "json_schema", "json_schema": {"name": "number", "schema": schema, "strict": True}}
    made = chat_request.parse(body(response_format=given)).run.response_format
    assert (made.kind, made.name, json.loads(made.schema)) == (3, "number", schema)
    assert chat_request.parse(body(response_format={"type": "json_object"})).run.response_format.kind == 2


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
    "neutral",
    [
        {"best_of": 1}, {"modalities": ["text"]}, {"service_tier": "auto"}, {"service_tier": "default"},
        {"min_tokens": 0}, {"logit_bias": {}}, {"use_beam_search": False}, {"unheard_of": None}, {"user": "u"},
        {"safety_identifier": "s"}, {"prompt_cache_key": "k"}, {"prediction": {"type": "content", "content": "x"}},
        {"metadata": {"other": "x"}},
    ],
    ids=repr,
)  # fmt: skip
def test_what_does_not_change_the_answer_is_taken(neutral: dict[str, Any]) -> None:
    assert chat_request.parse(body(**neutral)) == chat_request.parse(body())


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": None}, ""),
        ({}, ""),
        ({"content": None, "refusal": "No."}, "No."),
        ({"content": "", "refusal": "No."}, "No."),
        ({"content": "Yes.", "refusal": None, "annotations": [], "audio": None, "function_call": None}, "Yes."),
        ({"content": [{"type": "refusal", "refusal": "No."}]}, "No."),
        ({"content": [{"type": "text", "text": "A"}, {"type": "refusal", "refusal": "B"}]}, "A\nB"),
        ({"content": [{"type": "output_text", "text": "A"}], "reasoning_content": "hm", "tool_calls": []}, "A"),
        ({"content": "A", "tool_calls": None}, "A"),
    ],
    ids=repr,
)
def test_what_an_assistant_said_is_taken_back_as_it_was_given(message: dict[str, Any], text: str) -> None:
    asked = chat_request.parse(body(messages=[{"role": "assistant", **message}, *ASK["messages"]])).run
    assert (asked.messages[0].content, len(asked.messages)) == (text, 2)


@pytest.mark.parametrize("strict", [True, False, None])
def test_strict_is_what_the_caller_says(strict: bool | None) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": strict}}
    run = chat_request.parse(body(tools=[tool("f", strict=strict)], response_format=form)).run
    for made in (run.tools[0], run.response_format):
        assert (made.strict if made.HasField("strict") else None) is strict


@pytest.mark.parametrize(
    "name",
    [
        "stream",
        "stream_options",
        "metadata",
        "n",
        "tools",
        "tool_choice",
        "response_format",
        "logprobs",
        "temperature",
        "stop",
        "seed",
        "priority",
        "parallel_tool_calls",
    ],
)
def test_null_is_absent(name: str) -> None:
    assert chat_request.parse(body(**{name: None})) == chat_request.parse(body())


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
        (body(messages=[{"role": "function", "content": "x"}]), "messages[0].role"),
        (body(messages=[{"role": "tool", "content": "x"}]), "messages[0].tool_call_id"),
        (body(messages=[{"role": "tool", "tool_call_id": "c"}]), "messages[0].content"),
        (body(messages=[{"role": "user", "content": "x", "name": 1}]), "messages[0].name"),
        (body(messages=[{"role": "user", "content": "x", "tool_calls": [{}]}]), "messages[0].tool_calls"),
        (assistant(function_call={"name": "f"}), "messages[0].function_call"),
        (assistant(refusal=7), "messages[0].refusal"),
        (assistant(content=[{"type": "refusal", "text": "No."}]), "messages[0].content"),
        (content([{"type": "refusal", "refusal": "No."}]), "messages[0].content"),
        (assistant(tool_calls={}), "messages[0].tool_calls"),
        (assistant("x"), "messages[0].tool_calls[0]"),
        (assistant({"type": "custom"}), "messages[0].tool_calls[0].type"),
        (assistant({"function": {"name": "f"}}), "messages[0].tool_calls[0].id"),
        (assistant({"id": "c"}), "messages[0].tool_calls[0].function.name"),
        (
            assistant({"id": "c", "function": {"name": "f", "arguments": {}}}),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (assistant(*[{"id": "c", "function": {"name": "f"}}] * 129), "messages[0].tool_calls"),
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
        (body(metadata={"session_id": 7}), "metadata.session_id"),
        (body(metadata={"filter.team": ""}), "metadata.filter.team"),
        (body(metadata={"filter.team": []}), "metadata.filter.team"),
        (body(metadata={"filter.team": {"not": "hr"}}), "metadata.filter.team"),
        (body(metadata={"filter.": "hr"}), "metadata.filter."),
        (body(tools={}), "tools"),
        (body(tools=[tool(f"t{number}") for number in range(129)]), "tools"),
        (body(tools=["x"]), "tools[0]"),
        (body(tools=[{}]), "tools[0].type"),
        (body(tools=[{"type": "custom", "custom": {"name": "f"}}]), "tools[0].type"),
        (body(tools=[{"type": "function"}]), "tools[0].function.name"),
        (body(tools=[tool("two words")]), "tools[0].function.name"),
        (body(tools=[tool("x" * 65)]), "tools[0].function.name"),
        (body(tools=[tool(7)]), "tools[0].function.name"),
        (body(tools=[tool("f", description=7)]), "tools[0].function.description"),
        (body(tools=[tool("f", parameters=[])]), "tools[0].function.parameters"),
        (body(tools=[tool("f"), tool("f")]), "tools[1].function.name"),
        (body(tool_choice="f"), "tool_choice"),
        (body(tool_choice=7), "tool_choice"),
        (body(tool_choice={"type": "allowed_tools"}), "tool_choice"),
        (body(tool_choice={"type": "function"}), "tool_choice.function.name"),
        (body(parallel_tool_calls="no"), "parallel_tool_calls"),
        (body(functions=[{"name": "f"}]), "functions"),
        (body(function_call="auto"), "function_call"),
        (body(response_format="json"), "response_format"),
        (body(response_format={"type": "xml"}), "response_format.type"),
        (body(response_format={"type": []}), "response_format.type"),
        (body(response_format={"type": "json_schema"}), "response_format.json_schema.name"),
        (
            body(response_format={"type": "json_schema", "json_schema": {"name": "a b"}}),
            "response_format.json_schema.name",
        ),
        (
            body(response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": "x"}}),
            "response_format.json_schema.schema",
        ),
        (body(audio={"voice": "x"}), "audio"),
        (body(reasoning_effort="high"), "reasoning_effort"),
        (body(verbosity="low"), "verbosity"),
        (body(modalities=["text", "audio"]), "modalities"),
        (body(service_tier="flex"), "service_tier"),
        (body(best_of=2), "best_of"),
        (body(min_tokens=5), "min_tokens"),
        (body(guided_json={"type": "object"}), "guided_json"),
        (body(unheard_of="x"), "unheard_of"),
        (body(tools=[tool("f", strict="yes")]), "tools[0].function.strict"),
        (body(logprobs=True), "logprobs"),
        (body(top_logprobs=2), "top_logprobs"),
        (body(logit_bias={"1": 2}), "logit_bias"),
        (body(temperature=2.1), "temperature"),
        (body(temperature="hot"), "temperature"),
        (body(temperature=True), "temperature"),
        (body(top_p=0), "top_p"),
        (body(top_p=1.5), "top_p"),
        (body(top_k=-2), "top_k"),
        (body(top_k=1.5), "top_k"),
        (body(min_p=-0.1), "min_p"),
        (body(max_tokens=0), "max_tokens"),
        (body(max_tokens=1 << 31), "max_tokens"),
        (body(max_completion_tokens="many"), "max_completion_tokens"),
        (body(seed=1 << 63), "seed"),
        (body(seed=1.5), "seed"),
        (body(presence_penalty=-2.1), "presence_penalty"),
        (body(frequency_penalty=3), "frequency_penalty"),
        (body(repetition_penalty=0), "repetition_penalty"),
        (body(ignore_eos="yes"), "ignore_eos"),
        (body(stop=7), "stop"),
        (body(stop=["a"] * 5), "stop"),
        (body(stop=[""]), "stop"),
        (body(stop=""), "stop"),
        (body(stop=[1]), "stop"),
        (body(priority="urgent"), "priority"),
        (body(priority=1.5), "priority"),
        (body(priority=True), "priority"),
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
        st.sampled_from(
            [
                "model",
                "messages",
                "stream",
                "metadata",
                "n",
                "tools",
                "stream_options",
                "tool_choice",
                "stop",
                "seed",
                "response_format",
                "temperature",
                "priority",
                "max_tokens",
            ]
        ),
        json_values,
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


FUNCTION = {"name": "add"}
FORM = {"name": "n", "schema": {}}


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"web_search_options": {}}, "web_search_options"),
        ({"audio": {}}, "audio"),
        ({"reasoning": {}}, "reasoning"),
        ({"thinking": {}}, "thinking"),
        ({"tools": {}}, "tools"),
        ({"response_format": {}}, "response_format.type"),
        ({"response_format": {"type": "json_object", "schema": {}}}, "response_format.schema"),
        ({"response_format": {"type": "text", "json_schema": FORM}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {**FORM, "x": 1}}},
            "response_format.json_schema.x",
        ),
        ({"stream_options": {"chunk_size": 3}}, "stream_options.chunk_size"),
        ({"tool_choice": {"type": "function", "function": FUNCTION, "x": 1}}, "tool_choice.x"),
        ({"tool_choice": {"type": "function", "function": {**FUNCTION, "x": 1}}}, "tool_choice.function.x"),
        ({"tools": [{"type": "function", "function": FUNCTION, "defer": True}]}, "tools[0].defer"),
        ({"tools": [{"type": "function", "function": {**FUNCTION, "x": 1}}]}, "tools[0].function.x"),
        ({"messages": [{"role": "user", "content": "a", "audio": {"id": "b"}}]}, "messages[0].audio"),
        ({"messages": [{"role": "assistant", "content": "a", "prefix": True}]}, "messages[0].prefix"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "weight": 2}]}]},
            "messages[0].content[0].weight",
        ),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_no_field_is_ignored_in_silence(changes: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        chat_request.parse(body(**changes))
    assert caught.value.details["param"] == param


@pytest.mark.parametrize(
    "changes",
    [
        {"logit_bias": {}, "metadata": {}, "stream_options": {}, "audio": None, "thinking": None},
        {"stream_options": {"include_usage": True, "include_obfuscation": False}},
        {"tools": [{"type": "function", "function": FUNCTION, "cache_control": {"type": "ephemeral"}}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "e"}}]}]},
        {
            "messages": [
                {
                    "role": "assistant", "content": "a", "refusal": None, "annotations": [], "audio": None,
                    "function_call": None, "tool_calls": None, "reasoning_content": "hm", "parsed": None,
                },
                {"role": "user", "content": "b"},
            ]
        },
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_what_says_nothing_or_stays_here_is_let_pass(changes: dict[str, Any]) -> None:
    assert chat_request.parse(body(**changes)).run.model == "rag"


def test_what_a_form_is_for_is_told_with_its_schema() -> None:
    form = {"type": "json_schema", "json_schema": {**FORM, "description": "A sum."}}
    assert json.loads(chat_request.parse(body(response_format=form)).run.response_format.schema) == {
        "description": "A sum."
    }
