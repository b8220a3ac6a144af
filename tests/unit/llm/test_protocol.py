"""The language model's protocol: what one end writes, the other reads, and nothing changes on the way."""

from typing import Any

import pytest

from services.llm.chat import Message, Role, ToolCall
from services.llm.generation import Generation
from services.llm.openai.request import sampling
from services.llm.triton.engine import _request
from services.llm.triton.protocol import (
    SAMPLING,
    Cancel,
    Chunk,
    Count,
    Counted,
    Failed,
    Generate,
    Healthy,
    LlmFinished,
    LlmHealth,
    LlmPrompt,
    LlmToolCall,
    MalformedLlmMessage,
    Request,
    Text,
    ToolCalls,
    encode,
    encode_chunks,
    read,
    read_chunks,
)
from services.runtime.errors import ErrorKind, UpstreamError

HELLO = LlmPrompt([{"role": "user", "content": "Hello"}])
TOOLS = LlmPrompt(HELLO.messages, [{"type": "function", "function": {"name": "add"}}])
REQUESTS: list[Request] = [
    Generate("a", HELLO),
    Generate("a", HELLO, remaining=0.0),
    Generate("a", HELLO, {"temperature": 0, "stop": ["x"], "ignore_eos": True}),
    Generate(
        "a", TOOLS, {"seed": 7}, "required", False, {"type": "json_object"}, "legal", True, True, 2.5, "s", "00-1-2-01"
    ),
    Generate("a", TOOLS, tool_choice={"type": "function", "function": {"name": "add"}}),
    Cancel("a"),
    Count(HELLO),
    Count(TOOLS),
    LlmHealth(),
]
CHUNKS: list[Chunk] = [
    Text("Hel", 1),
    Text(""),
    ToolCalls((LlmToolCall("c1", "add", '{"a": 1}'), LlmToolCall("c2", "add", ""))),
    LlmFinished("stop"),
    LlmFinished("length", 10, 5, 3, 0.5, 0.25, 1.5),
    Failed("RESOURCE_EXHAUSTED", "LLM_OVERLOADED", "busy", {"queued": "4"}, 2.5),
    Failed("INTERNAL", "INTERNAL", "no"),
    Counted(17),
    Healthy(1.5),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=repr)
def test_a_request_arrives_as_it_was_sent(request_: Request) -> None:
    assert read(encode(request_)) == request_


@pytest.mark.parametrize("chunk", CHUNKS, ids=repr)
def test_a_chunk_arrives_as_it_was_sent(chunk: Chunk) -> None:
    assert read_chunks(encode_chunks([chunk])) == [chunk]


def test_chunks_arrive_in_order() -> None:
    assert (read_chunks(encode_chunks(CHUNKS)), encode_chunks([])) == (CHUNKS, b"")


def test_an_error_arrives_as_it_was_raised() -> None:
    error = UpstreamError(ErrorKind.INVALID_ARGUMENT, "CONTEXT_TOO_LONG", "too long", limit="5").retry_in(3)
    (chunk,) = read_chunks(encode_chunks([Failed.of(error)]))
    assert isinstance(chunk, Failed)
    got = chunk.error
    assert (got.kind, got.reason, got.message, got.details, got.retry_after) == (
        ErrorKind.INVALID_ARGUMENT, "CONTEXT_TOO_LONG", "too long", {"limit": "5"}, 3,
    )  # fmt: skip


@pytest.mark.parametrize(
    "body", [b"{", b"3", b'[{"finish": "stop"}]', b'[{"tool_calls": 3}]', b'[{"tool_calls": [{"id": "c"}]}]', b"[3]"]
)
def test_what_is_none_of_it_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedLlmMessage):
        read_chunks(body)


def test_an_error_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(MalformedLlmMessage):
        Failed("ODD", "X", "x").error  # noqa: B018 (a property)


def test_a_chunk_of_another_kind_is_passed_over() -> None:
    assert read_chunks(b'[{"later": 1}, {"text": "a"}]') == [Text("a")]


def test_what_an_agent_asks_is_what_the_model_reads() -> None:
    generation = Generation(
        (Message(Role.USER, "why?"), Message(Role.ASSISTANT, "", (ToolCall("c", "add", ""),))), confidence=True
    )
    made: Any = read(encode(Generate("a", **_fields(_request(generation, "legal")))))
    assert (made.prompt.messages[0], made.lora, made.confidence) == (
        {"role": "user", "content": "why?"}, "legal", True,
    )  # fmt: skip
    assert sampling(generation.sampling).keys() <= set(SAMPLING)


def _fields(request: Generate) -> dict[str, Any]:
    return {name: getattr(request, name) for name in Generate.__dataclass_fields__ if name != "id"}
