"""Bedrock's Converse as an upstream, in recorded shapes: what is sent, signed, and OpenAI's form of what comes back."""

import json
import struct
from binascii import crc32
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.session import get_session
from botocore.validate import ParamValidator

from services.llm.catalogue.entry import ALL, EngineKind
from services.llm.chat import Declaration, Form, Message, ResponseFormat, Role, Sampling, ToolCall
from services.llm.generation import Calls, Ended, Finish, Generation, Piece, Thought, TokenCounts
from services.runtime.errors import DomainError
from tests.fakes.calls import Settled
from tests.fakes.openai_upstream import Behaviour, Exchange, raw
from tests.integration.llm.wires import WiredModel

STREAM = "application/vnd.amazon.eventstream"
USAGE = {"inputTokens": 10, "outputTokens": 4, "totalTokens": 19, "cacheReadInputTokens": 3, "cacheWriteInputTokens": 2}
TOOL = Declaration("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}})
NAME = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
ARN = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc123"
KEYED = WiredModel(EngineKind.BEDROCK, NAME, "bedrock-api-key", ALL, "eu-central-1")
SIGNED = WiredModel(EngineKind.BEDROCK, ARN, "", ALL, "eu-central-1")


def frame(kind: str, payload: dict[str, Any], message: str = "event") -> bytes:
    """A message of AWS's event streams, as their documentation has it."""
    names = {":message-type": message, ":exception-type" if message == "exception" else ":event-type": kind,
             ":content-type": "application/json"}  # fmt: skip
    headers = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
        for name, value in names.items()
    )
    body = json.dumps(payload).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(body), len(headers))
    data = prelude + struct.pack("!I", crc32(prelude)) + headers + body
    return data + struct.pack("!I", crc32(data))


def delta(index: int, **of: Any) -> bytes:
    return frame("contentBlockDelta", {"contentBlockIndex": index, "delta": of, "p": "abcdef"})


BEGUN = frame("messageStart", {"role": "assistant"})
STOP = frame("messageStop", {"stopReason": "end_turn"})
USED = frame("metadata", {"usage": USAGE, "metrics": {"latencyMs": 5}})
HELLO = [BEGUN, delta(0, reasoningContent={"text": "I greet."}), delta(0, reasoningContent={"signature": "c2ln"}),
         delta(1, text="Hel"), delta(1, text="lo."), STOP, USED]  # fmt: skip
CALLING = [
    BEGUN,
    frame("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t1", "name": "add"}}}),
    delta(0, toolUse={"input": '{"a"'}), delta(0, toolUse={"input": ": 1}"}),
    frame("contentBlockStop", {"contentBlockIndex": 0}), frame("messageStop", {"stopReason": "tool_use"}), USED,
]  # fmt: skip
ASKED = Generation(
    (
        Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "Add."),
        Message(Role.ASSISTANT, "", tool_calls=(ToolCall("c1", "add", '{"a": 1}'),)),
        Message(Role.TOOL, "1", tool_call_id="c1"), Message(Role.USER, "So?"),
    ),
    (TOOL,), response_format=ResponseFormat(Form.JSON_SCHEMA, "sum", {"type": "object"}),
    sampling=Sampling(temperature=0.5, max_tokens=50, stop=("END",)), reasoning=True,
)  # fmt: skip


def stream(*frames: bytes) -> Behaviour:
    return raw(*frames, kind=STREAM)


def answer(content: list[dict[str, Any]], reason: str = "end_turn") -> Behaviour:
    body = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": reason, "usage": USAGE}
    return raw(json.dumps(body).encode(), kind="application/json")


async def test_a_run_is_asked_and_answered() -> None:
    said, upstream = await KEYED.generated(stream(*HELLO), ASKED)
    assert [one for one in said if isinstance(one, Thought)] == [Thought("I greet.")]
    assert "".join(one.text for one in said if isinstance(one, Piece)) == "Hello."
    assert said[-1] == Ended(Finish.STOP, TokenCounts(15, 4, 3, kept=2))
    (exchange,) = upstream.exchanges
    assert exchange.headers[":path"] == f"/v1/model/{NAME}/converse-stream"
    assert exchange.headers["authorization"] == "Bearer bedrock-api-key"
    assert exchange.body == {
        "system": [{"text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"text": "Add."}]},
            {"role": "assistant", "content": [{"toolUse": {"toolUseId": "c1", "name": "add", "input": {"a": 1}}}]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "c1", "content": [{"text": "1"}]}}, {"text": "So?"},
            ]},
        ],
        "inferenceConfig": {"temperature": 0.5, "maxTokens": 50, "stopSequences": ["END"]},
        "toolConfig": {
            "tools": [{"toolSpec": {
                "name": "add", "description": "Adds.", "inputSchema": {"json": dict(TOOL.parameters)},
            }}],
            "toolChoice": {"auto": {}},
        },
        "outputConfig": {"textFormat": {
            "type": "json_schema", "structure": {"jsonSchema": {"schema": '{"type":"object"}', "name": "sum"}},
        }},
    }  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"tool_choice": "required", "tools": [{"type": "function", "function": {"name": "f"}}]},
        {"tool_choice": {"type": "function", "function": {"name": "f"}},
         "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]},
        {"tool_choice": "none", "tools": [{"type": "function", "function": {"name": "f"}}]},
        {"temperature": 0.1, "top_p": 0.9, "stop": "END", "max_completion_tokens": 7},
        {"messages": [{"role": "user", "content": [
            {"type": "text", "text": "What?"}, {"type": "text", "text": ""},
            {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lG"}},
            {"type": "input_audio", "input_audio": {"format": "mp3", "data": "R0lG"}},
        ]}]},
    ],
)  # fmt: skip
async def test_what_is_sent_holds_to_the_apis_model(more: dict[str, Any]) -> None:
    """That of AWS's own SDK."""
    _, _, upstream = await KEYED.bare(answer([{"text": "Hello."}]), False, **more)
    (body,) = upstream.bodies
    shape = get_session().get_service_model("bedrock-runtime").operation_model("Converse").input_shape
    report = ParamValidator().validate(body | {"modelId": NAME}, shape)
    assert not report.has_errors(), report.generate_report()
    assert set(body) <= set(shape.members)


async def test_requests_are_signed_as_they_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-aws")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session-of-aws")
    _, _, upstream = await SIGNED.bare(answer([{"text": "Hello."}]), False)
    (exchange,) = upstream.exchanges
    assert exchange.headers["x-amz-security-token"] == "session-of-aws"
    assert exchange.headers[":path"].endswith(":application-inference-profile%2Fabc123/converse")
    assert exchange.headers["authorization"] == signature(exchange)


def signature(exchange: Exchange) -> str:
    """Of what has arrived, signed by who knows the secret."""
    headers = exchange.headers
    given = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    request = AWSRequest(
        "POST", f"http://{headers['host']}{headers[':path']}", {name: headers[name] for name in given},
        json.dumps(exchange.body, separators=(",", ":")).encode(),
    )  # fmt: skip
    auth = SigV4Auth(Credentials("AKIAEXAMPLE", "secret-of-aws", "session-of-aws"), "bedrock", "eu-central-1")
    request.context["timestamp"] = headers["x-amz-date"]
    canonical = auth.canonical_request(request)
    return (
        f"AWS4-HMAC-SHA256 Credential={auth.scope(request)}, SignedHeaders={';'.join(given)}, "
        f"Signature={auth.signature(auth.string_to_sign(request, canonical), request)}"
    )


async def test_without_credentials_an_operator_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DomainError) as caught:
        await SIGNED.bare(answer([{"text": "Hello."}]), False)
    assert caught.value.reason == "UPSTREAM_MISCONFIGURED"
    assert "AWS_PROFILE" in "".join(str(record.__dict__.get("hint")) for record in caplog.records)


async def test_tools_are_called() -> None:
    said, _ = await KEYED.generated(stream(*CALLING), ASKED)
    [calls] = [one for one in said if isinstance(one, Calls)]
    assert calls.calls == (ToolCall("t1", "add", '{"a": 1}'),)
    assert isinstance(said[-1], Ended)
    assert said[-1].finish is Finish.TOOL_CALLS


async def test_a_bare_stream_is_openais_however_it_is_cut() -> None:
    data = b"".join(HELLO)
    for size in (1, 7, len(data)):
        portions = [data[at : at + size] for at in range(0, len(data), size)]
        chunks, pipeline, _ = await KEYED.bare(stream(*portions), stream=True)
        said = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
        assert "".join(said) == "Hello."
        assert pipeline.settled == [Settled(15, 4, 3, "stop")]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("end_turn", "stop"), ("max_tokens", "length"), ("guardrail_intervened", "content_filter"), ("new", "stop")],
)
async def test_a_bare_completion_is_openais(reason: str, finish: str) -> None:
    content: list[dict[str, Any]] = [{"reasoningContent": {"reasoningText": {"text": "I greet.", "signature": "s"}}},
                                     {"text": "Hello."}]  # fmt: skip
    completion, pipeline, _ = await KEYED.bare(answer(content, reason), False)
    message = completion["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("Hello.", "I greet.")
    assert completion["choices"][0]["finish_reason"] == finish
    assert pipeline.settled[0][:3] == (15, 4, 3)


@pytest.mark.parametrize(
    ("status", "message", "reason"),
    [
        (400, "odd", "UPSTREAM_REFUSED"),
        (400, "Input is too long for requested model.", "CONTEXT_TOO_LONG"),
        (403, "The security token bedrock-api-key is invalid.", "UPSTREAM_MISCONFIGURED"),
        (404, "no model", "UPSTREAM_MISCONFIGURED"),
        (408, "the model took too long", "UPSTREAM_UNAVAILABLE"),
        (424, "the model failed", "UPSTREAM_UNAVAILABLE"),
        (429, "Too many tokens, please wait before trying again.", "UPSTREAM_BUSY"),
        (500, "no", "UPSTREAM_UNAVAILABLE"),
        (503, "no", "UPSTREAM_UNAVAILABLE"),
    ],
)
async def test_its_errors_are_the_models(status: int, message: str, reason: str) -> None:
    body = json.dumps({"message": message}).encode()
    with pytest.raises(DomainError) as caught:
        await KEYED.bare(raw(body, kind="application/json", status=status), stream=False)
    assert caught.value.reason == reason
    assert "bedrock-api-key" not in caught.value.message


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (stream(*HELLO[:5]), "UPSTREAM_BROKEN"),
        (stream(b"".join(HELLO)[:-30] + b"x" * 30), "UPSTREAM_BROKEN"),
        (stream(b"nothing of the kind, but long enough"), "UPSTREAM_BROKEN"),
        (stream(frame("throttlingException", {"message": "slow"}, "exception")), "UPSTREAM_BUSY"),
        (stream(frame("modelStreamErrorException", {"message": "no"}, "exception")), "UPSTREAM_UNAVAILABLE"),
        (stream(frame("validationException", {"message": "odd"}, "exception")), "UPSTREAM_REFUSED"),
    ],
    ids=["breaks off", "a wrong checksum", "no frames", "throttled", "the model failed", "refused"],
)
async def test_a_stream_that_is_none(behaviour: Behaviour, reason: str) -> None:
    with pytest.raises(DomainError) as caught:
        await KEYED.generated(behaviour, ASKED)
    assert caught.value.reason == reason


async def test_a_stream_that_ends_without_its_usage_has_ended() -> None:
    said, _ = await KEYED.generated(stream(*HELLO[:-1]), ASKED)
    assert isinstance(said[-1], Ended)


@pytest.mark.parametrize(
    "more",
    [
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.example/a"}}]}]},
        {"response_format": {"type": "json_object"}},
        {"tool_choice": "none", "tools": [{"type": "function", "function": {"name": "f"}}], "messages": [
            {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "x"},
        ]},
    ],
)  # fmt: skip
async def test_what_the_api_has_no_form_for_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(DomainError) as caught:
        await KEYED.bare(answer([{"text": "Hello."}]), False, **more)
    assert caught.value.reason == "MODEL_CANNOT"
