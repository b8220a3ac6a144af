"""Anthropic's Messages as an upstream: what is sent holds to the types of its SDK, what comes back is OpenAI's."""

import json
from typing import Any

import anthropic.types as sdk
import pytest
from pydantic import TypeAdapter

from services.llm.catalogue.entry import Capability, EngineKind
from services.llm.chat import Declaration, Message, Role, Sampling, ToolCall
from services.llm.generation import Calls, Ended, Finish, Generation, Piece, Thought, TokenCounts
from services.runtime.errors import DomainError
from tests.fakes.calls import Settled
from tests.fakes.openai_upstream import Behaviour, raw
from tests.integration.llm.wires import WiredModel

REQUEST: TypeAdapter[Any] = TypeAdapter(sdk.message_create_params.MessageCreateParamsStreaming)
ANSWER: TypeAdapter[Any] = TypeAdapter(sdk.Message)
EVENT: TypeAdapter[Any] = TypeAdapter(sdk.RawMessageStreamEvent)
USAGE = {"input_tokens": 9, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2, "output_tokens": 1}
START = {
    "type": "message_start",
    "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": USAGE,
    },
}  # fmt: skip
STOP = {"type": "message_stop"}


def block(index: int, **of: Any) -> list[dict[str, Any]]:
    return [{"type": "content_block_start", "index": index, "content_block": of}]


def grown(index: int, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def ends(reason: str, tokens: int = 7) -> list[dict[str, Any]]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [{"type": "message_delta", "delta": delta, "usage": {"output_tokens": tokens}}, STOP]


HELLO: list[dict[str, Any]] = [
    START, {"type": "ping"}, *block(0, type="thinking", thinking="", signature=""),
    grown(0, type="thinking_delta", thinking="I greet."), grown(0, type="signature_delta", signature="sig"),
    {"type": "content_block_stop", "index": 0}, *block(1, type="text", text=""),
    grown(1, type="text_delta", text="Hel"), grown(1, type="text_delta", text="lo."),
    {"type": "content_block_stop", "index": 1}, *ends("end_turn"),
]  # fmt: skip
CALLING: list[dict[str, Any]] = [
    START, *block(0, type="text", text=""), grown(0, type="text_delta", text="I add."),
    {"type": "content_block_stop", "index": 0}, *block(1, type="tool_use", id="toolu_1", name="add", input={}),
    grown(1, type="input_json_delta", partial_json='{"a":'), grown(1, type="input_json_delta", partial_json=" 1}"),
    {"type": "content_block_stop", "index": 1}, *ends("tool_use"),
]  # fmt: skip
WHOLE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "stop_sequence": None,
    "content": [{"type": "text", "text": "Hello."}], "stop_reason": "end_turn", "usage": {**USAGE, "output_tokens": 7},
}  # fmt: skip
TOOL = Declaration("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}})


def events(*given: dict[str, Any]) -> Behaviour:
    for one in given:
        if one["type"] not in ("ping", "error"):
            EVENT.validate_python(one)
    return raw(*[f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in given])


MODEL = WiredModel(EngineKind.ANTHROPIC, "claude-x", "sk-ant", frozenset((Capability.TOOLS,)))
ASKED = Generation(
    (
        Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "Add."),
        Message(Role.ASSISTANT, "", tool_calls=(ToolCall("c1", "add", '{"a": 1}'), ToolCall("c2", "add", "{}"))),
        Message(Role.TOOL, "1", tool_call_id="c1"), Message(Role.TOOL, "", tool_call_id="c2"),
        Message(Role.USER, "So?"),
    ),
    (TOOL,), sampling=Sampling(temperature=0.5, max_tokens=50, stop=("END",)), reasoning=True,
)  # fmt: skip


async def test_a_run_is_asked_and_answered() -> None:
    said, upstream = await MODEL.generated(events(*HELLO), ASKED)
    assert [one for one in said if isinstance(one, Thought)] == [Thought("I greet.")]
    assert "".join(one.text for one in said if isinstance(one, Piece)) == "Hello."
    assert said[-1] == Ended(Finish.STOP, TokenCounts(14, 7, 3, kept=2))
    (exchange,) = upstream.exchanges
    assert exchange.headers[":path"] == "/v1/messages"
    assert (exchange.headers["x-api-key"], exchange.headers["anthropic-version"]) == ("sk-ant", "2023-06-01")
    assert "authorization" not in exchange.headers
    body = exchange.body
    REQUEST.validate_python(body)
    assert body["system"] == [{"type": "text", "text": "Be brief."}]
    assert [one["role"] for one in body["messages"]] == ["user", "assistant", "user"]
    assert [one["type"] for one in body["messages"][2]["content"]] == ["tool_result", "tool_result", "text"]
    assert (body["max_tokens"], body["stop_sequences"], body["temperature"]) == (50, ["END"], 0.5)
    assert (body["tools"][0]["input_schema"]["type"], body["tool_choice"]) == ("object", {"type": "auto"})


async def test_tools_are_called() -> None:
    said, _ = await MODEL.generated(events(*CALLING), ASKED)
    assert [one for one in said if isinstance(one, Calls)] == [Calls((ToolCall("toolu_1", "add", '{"a": 1}'),))]
    assert isinstance(said[-1], Ended)
    assert said[-1].finish is Finish.TOOL_CALLS


@pytest.mark.parametrize(("reason", "finish"), [("max_tokens", "length"), ("refusal", "content_filter"),
                                                ("stop_sequence", "stop"), ("something_new", "stop")])  # fmt: skip
async def test_why_it_ended(reason: str, finish: str) -> None:
    given = [*HELLO[:-2], *ends("end_turn")]
    given[-2] = {**given[-2], "delta": {"stop_reason": reason, "stop_sequence": None}}
    behaviour = raw(*[f"data: {json.dumps(one)}\n\n".encode() for one in given])
    said, _ = await MODEL.generated(behaviour, ASKED)
    assert isinstance(said[-1], Ended)
    assert said[-1].finish.value == finish


async def test_a_bare_stream_is_openais() -> None:
    chunks, pipeline, _ = await MODEL.bare(events(*HELLO), stream=True)
    said = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in said) == "Hello."
    assert "".join(delta.get("reasoning_content") or "" for delta in said) == "I greet."
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert pipeline.settled == [Settled(14, 7, 3, "stop")]


async def test_a_bare_completion_is_openais() -> None:
    ANSWER.validate_python(WHOLE)
    answer, pipeline, upstream = await MODEL.bare(
        raw(json.dumps(WHOLE).encode(), kind="application/json"), False,
        messages=[{"role": "user", "content": [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lG"}},
            {"type": "image_url", "image_url": {"url": "https://h.example/a.png"}},
        ]}],
    )  # fmt: skip
    assert answer["choices"][0]["message"]["content"] == "Hello."
    assert pipeline.settled == [Settled(14, 7, 3, "stop")]
    TypeAdapter(sdk.message_create_params.MessageCreateParamsNonStreaming).validate_python(upstream.bodies[0])
    assert [one["type"] for one in upstream.bodies[0]["messages"][0]["content"]] == ["text", "image", "image"]


async def test_what_its_api_has_no_form_for_is_refused_before_it_is_asked() -> None:
    for more in (
        {"response_format": {"type": "json_object"}},
        {"tools": [{"type": "custom", "custom": {"name": "x"}}]},
    ):
        with pytest.raises(DomainError) as caught:
            await MODEL.bare(events(*HELLO), False, **more)
        assert caught.value.reason == "MODEL_CANNOT"


def error(kind: str, message: str = "no") -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}).encode()


@pytest.mark.parametrize(
    ("status", "kind", "message", "reason"),
    [
        (400, "invalid_request_error", "max_tokens: odd", "UPSTREAM_REFUSED"),
        (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", "CONTEXT_TOO_LONG"),
        (401, "authentication_error", "invalid x-api-key sk-ant", "UPSTREAM_MISCONFIGURED"),
        (403, "permission_error", "no", "UPSTREAM_MISCONFIGURED"),
        (404, "not_found_error", "model: claude-x", "UPSTREAM_MISCONFIGURED"),
        (413, "request_too_large", "too large", "CONTEXT_TOO_LONG"),
        (429, "rate_limit_error", "slow down", "UPSTREAM_BUSY"),
        (500, "api_error", "no", "UPSTREAM_UNAVAILABLE"),
        (529, "overloaded_error", "Overloaded", "UPSTREAM_UNAVAILABLE"),
    ],
)
async def test_its_errors_are_the_models(status: int, kind: str, message: str, reason: str) -> None:
    with pytest.raises(DomainError) as caught:
        await MODEL.bare(raw(error(kind, message), kind="application/json", status=status), stream=False)
    assert caught.value.reason == reason
    assert "sk-ant" not in caught.value.message


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (events(*HELLO[:8]), "UPSTREAM_BROKEN"),
        (raw(b"data: {]\n\n"), "UPSTREAM_BROKEN"),
        (raw(b"data: []\n\n"), "UPSTREAM_BROKEN"),
        (events(*HELLO[:8], {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
         "UPSTREAM_UNAVAILABLE"),
        (events({"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}), "UPSTREAM_BUSY"),
    ],
    ids=["breaks off", "no JSON", "no object", "overloaded in the midst", "limited in the stream"],
)  # fmt: skip
async def test_a_stream_that_is_none(behaviour: Behaviour, reason: str) -> None:
    with pytest.raises(DomainError) as caught:
        await MODEL.generated(behaviour, ASKED)
    assert caught.value.reason == reason
