"""Gemini's generateContent as an upstream, in recorded shapes: what is sent, and OpenAI's form of what comes back."""

import json
from typing import Any

import pytest

from services.llm.catalogue.entry import ALL, EngineKind
from services.llm.chat import Declaration, Form, Message, ResponseFormat, Role, Sampling, ToolCall
from services.llm.generation import Calls, Ended, Finish, Generation, Piece, Thought, TokenCounts
from services.runtime.errors import DomainError
from tests.fakes.calls import Settled
from tests.fakes.openai_upstream import Behaviour, raw
from tests.integration.llm.wires import WiredModel

USAGE = {"promptTokenCount": 12, "candidatesTokenCount": 4, "thoughtsTokenCount": 3, "cachedContentTokenCount": 2,
         "totalTokenCount": 19}  # fmt: skip
TOOL = Declaration("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}})


def part(finish: str | None = None, usage: bool = False, **said: Any) -> dict[str, Any]:
    content = {"parts": [said], "role": "model"} if said else {}
    end = {"finishReason": finish} if finish else {}
    used = {"usageMetadata": USAGE} if usage else {}
    return {"candidates": [{"content": content, "index": 0, **end}], "responseId": "r1", "modelVersion": "g-1", **used}


HELLO = [part(text="I greet.", thought=True), part(text="Hel"), part("STOP", usage=True, text="lo.")]
CALLING = [
    part(functionCall={"name": "add", "args": {"a": 1}}, thoughtSignature="c2ln"), part("STOP", usage=True, text=""),
]  # fmt: skip


def events(*given: dict[str, Any]) -> Behaviour:
    return raw(*[f"data: {json.dumps(one)}\r\n\r\n".encode() for one in given])


MODEL = WiredModel(EngineKind.GEMINI, "g-1", "AIza-secret", ALL)
ASKED = Generation(
    (
        Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "Add."),
        Message(Role.ASSISTANT, "", tool_calls=(
            ToolCall("c1", "add", '{"a": 1}', beside='{"extra_content": {"google": {"thought_signature": "c2ln"}}}'),
        )),
        Message(Role.TOOL, "1", tool_call_id="c1"), Message(Role.USER, "So?"),
    ),
    (TOOL,), response_format=ResponseFormat(Form.JSON_SCHEMA, "sum", {"type": "object"}),
    sampling=Sampling(temperature=0.5, max_tokens=50, stop=("END",)), reasoning=True,
)  # fmt: skip


async def test_a_run_is_asked_and_answered() -> None:
    said, upstream = await MODEL.generated(events(*HELLO), ASKED)
    assert [one for one in said if isinstance(one, Thought)] == [Thought("I greet.")]
    assert "".join(one.text for one in said if isinstance(one, Piece)) == "Hello."
    assert said[-1] == Ended(Finish.STOP, TokenCounts(12, 7, 2, 3))
    (exchange,) = upstream.exchanges
    assert exchange.headers[":path"] == "/v1/models/g-1:streamGenerateContent?alt=sse"
    assert exchange.headers["x-goog-api-key"] == "AIza-secret"
    assert exchange.body == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Add."}]},
            {"role": "model", "parts": [
                {"functionCall": {"name": "add", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": "add", "response": {"result": "1"}}}, {"text": "So?"},
            ]},
        ],
        "generationConfig": {
            "temperature": 0.5, "maxOutputTokens": 50, "stopSequences": ["END"],
            "responseMimeType": "application/json", "responseJsonSchema": {"type": "object"},
        },
        "tools": [{"functionDeclarations": [
            {"name": "add", "description": "Adds.", "parametersJsonSchema": dict(TOOL.parameters)},
        ]}],
        "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
    }  # fmt: skip


async def test_tools_are_called_and_the_signature_goes_back_with_the_call() -> None:
    said, _ = await MODEL.generated(events(*CALLING), ASKED)
    [calls] = [one for one in said if isinstance(one, Calls)]
    assert (calls.calls[0].name, json.loads(calls.calls[0].arguments_json)) == ("add", {"a": 1})
    assert "c2ln" in calls.calls[0].beside
    assert isinstance(said[-1], Ended)
    assert said[-1].finish is Finish.TOOL_CALLS


async def test_a_bare_stream_is_openais() -> None:
    chunks, pipeline, _ = await MODEL.bare(events(*HELLO), stream=True)
    said = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
    assert "".join(said) == "Hello."
    assert pipeline.settled == [Settled(12, 7, 2, "stop")]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("STOP", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("NEW_REASON", "stop")],
)
async def test_a_bare_completion_is_openais(reason: str, finish: str) -> None:
    body = json.dumps(part(reason, usage=True, text="Hello.")).encode()
    content = [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0"}},
    ]
    answer, pipeline, upstream = await MODEL.bare(
        raw(body, kind="application/json"), False, messages=[{"role": "user", "content": content}]
    )
    assert answer["choices"][0]["message"]["content"] == "Hello."
    assert answer["choices"][0]["finish_reason"] == finish
    assert pipeline.settled[0][:3] == (12, 7, 2)
    assert upstream.exchanges[0].headers[":path"] == "/v1/models/g-1:generateContent"
    assert upstream.bodies[0]["contents"][0]["parts"][1] == {"inlineData": {"mimeType": "image/gif", "data": "R0"}}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_that_its_filters_refuse(stream: bool) -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 12}}
    data = json.dumps(blocked).encode()
    behaviour = events(blocked) if stream else raw(data, kind="application/json")
    answer, _, _ = await MODEL.bare(behaviour, stream)
    last = answer[-1] if stream else answer
    assert last["choices"][0]["finish_reason"] == "content_filter"


def error(code: int, status: str, message: str = "no") -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "status": status}}).encode()


@pytest.mark.parametrize(
    ("code", "status", "message", "reason"),
    [
        (400, "INVALID_ARGUMENT", "odd", "UPSTREAM_REFUSED"),
        (400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed (5).",
         "CONTEXT_TOO_LONG"),
        (403, "PERMISSION_DENIED", "no AIza-secret", "UPSTREAM_MISCONFIGURED"),
        (404, "NOT_FOUND", "no model", "UPSTREAM_MISCONFIGURED"),
        (429, "RESOURCE_EXHAUSTED", "quota", "UPSTREAM_BUSY"),
        (500, "INTERNAL", "no", "UPSTREAM_UNAVAILABLE"),
        (503, "UNAVAILABLE", "overloaded", "UPSTREAM_UNAVAILABLE"),
    ],
)  # fmt: skip
async def test_its_errors_are_the_models(code: int, status: str, message: str, reason: str) -> None:
    with pytest.raises(DomainError) as caught:
        await MODEL.bare(raw(error(code, status, message), kind="application/json", status=code), stream=False)
    assert caught.value.reason == reason
    assert "AIza" not in caught.value.message


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (events(*HELLO[:2]), "UPSTREAM_BROKEN"),
        (raw(b"data: {]\n\n"), "UPSTREAM_BROKEN"),
        (raw(b"data: {}\n\n"), "UPSTREAM_BROKEN"),
        (raw(b"data: " + error(503, "UNAVAILABLE") + b"\n\n"), "UPSTREAM_UNAVAILABLE"),
    ],
    ids=["breaks off", "no JSON", "nothing", "an error in the stream"],
)
async def test_a_stream_that_is_none(behaviour: Behaviour, reason: str) -> None:
    with pytest.raises(DomainError) as caught:
        await MODEL.generated(behaviour, ASKED)
    assert caught.value.reason == reason
