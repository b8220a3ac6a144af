"""Ollama's own API as an upstream, in recorded shapes: what is sent, and OpenAI's form of what comes back."""

import json
from dataclasses import replace
from typing import Any

import pytest

from services.llm.catalogue.entry import ALL, EngineKind
from services.llm.chat import Declaration, Form, Message, ResponseFormat, Role, Sampling, ToolCall
from services.llm.generation import Calls, Ended, Finish, Generation, Piece, Thought, TokenCounts
from services.llm.wires.ollama_request import chat_request
from services.runtime.errors import DomainError
from tests.fakes.calls import Settled
from tests.fakes.openai_upstream import Behaviour, raw
from tests.integration.llm.wires import WiredModel

TOOL = Declaration("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}})
MODEL = WiredModel(EngineKind.OLLAMA, "qwen3:4b", "", ALL)


def line(done: str | None = None, **said: Any) -> dict[str, Any]:
    end = {"done": True, "done_reason": done, "prompt_eval_count": 12, "eval_count": 7} if done else {"done": False}
    message = {"role": "assistant", "content": "", **said}
    return {"model": "qwen3:4b", "created_at": "2026-11-29T00:00:00Z", "message": message, **end}


HELLO = [line(thinking="I greet."), line(content="Hel"), line(content="lo."), line("stop")]
CALLING = [line(tool_calls=[{"function": {"name": "add", "arguments": {"a": 1}}}]), line("stop")]
ASKED = Generation(
    (
        Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "Add."),
        Message(Role.ASSISTANT, "", tool_calls=(ToolCall("c1", "add", '{"a": 1}'),)),
        Message(Role.TOOL, "1", tool_call_id="c1"), Message(Role.USER, "So?"),
    ),
    (TOOL,), response_format=ResponseFormat(Form.JSON_SCHEMA, "sum", {"type": "object"}),
    sampling=Sampling(temperature=0.5, max_tokens=50, stop=("END",)), reasoning=True,
)  # fmt: skip


def lines(*given: dict[str, Any]) -> Behaviour:
    return raw(*[json.dumps(one).encode() + b"\n" for one in given], kind="application/x-ndjson")


async def test_a_run_is_asked_and_answered() -> None:
    said, upstream = await MODEL.generated(lines(*HELLO), ASKED)
    assert [one for one in said if isinstance(one, Thought)] == [Thought("I greet.")]
    assert "".join(one.text for one in said if isinstance(one, Piece)) == "Hello."
    assert said[-1] == Ended(Finish.STOP, TokenCounts(12, 7))
    (exchange,) = upstream.exchanges
    assert exchange.headers[":path"] == "/v1/api/chat"
    body = exchange.body
    assert body.pop("tools")[0]["function"]["name"] == "add"
    assert body == {
        "model": "qwen3:4b", "stream": True, "truncate": False, "shift": False, "format": {"type": "object"},
        "messages": [
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Add."},
            {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "add", "arguments": {"a": 1}}}]},
            {"role": "tool", "content": "1", "tool_name": "add"}, {"role": "user", "content": "So?"},
        ],
        "options": {"temperature": 0.5, "num_predict": 50, "stop": ["END"]},
    }  # fmt: skip


def test_the_catalogues_context_is_kept() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    assert chat_request(body, 32_768)["options"] == {"num_ctx": 32_768}
    assert "options" not in chat_request(body, 0)


async def test_tools_are_called() -> None:
    said, _ = await MODEL.generated(lines(*CALLING), ASKED)
    [calls] = [one for one in said if isinstance(one, Calls)]
    assert (calls.calls[0].name, json.loads(calls.calls[0].arguments_json)) == ("add", {"a": 1})
    assert calls.calls[0].id
    assert isinstance(said[-1], Ended)
    assert said[-1].finish is Finish.TOOL_CALLS


async def test_a_bare_stream_is_openais_however_it_is_cut() -> None:
    data = b"".join(json.dumps(one).encode() + b"\n" for one in HELLO)
    for size in (1, 50, len(data)):
        portions = [data[at : at + size] for at in range(0, len(data), size)]
        chunks, pipeline, _ = await MODEL.bare(raw(*portions, kind="application/x-ndjson"), stream=True)
        said = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
        assert "".join(said) == "Hello."
        assert pipeline.settled == [Settled(12, 7, 0, "stop")]


@pytest.mark.parametrize(("reason", "finish"), [("stop", "stop"), ("length", "length"), ("new", "stop")])
async def test_a_bare_completion_is_openais(reason: str, finish: str) -> None:
    content = [
        {"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lG"}},
    ]  # fmt: skip
    body = json.dumps(line(reason, content="Hello.", thinking="I greet.")).encode()
    completion, pipeline, upstream = await MODEL.bare(
        raw(body, kind="application/json"), False, messages=[{"role": "user", "content": content}]
    )
    message = completion["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("Hello.", "I greet.")
    assert completion["choices"][0]["finish_reason"] == finish
    assert pipeline.settled[0][:2] == (12, 7)
    assert upstream.bodies[0]["messages"] == [{"role": "user", "content": "What?", "images": ["R0lG"]}]


@pytest.mark.parametrize(
    ("status", "message", "reason"),
    [
        (400, "registry.ollama.ai/library/m does not support tools", "UPSTREAM_REFUSED"),
        (400, "the input length exceeds the context length", "CONTEXT_TOO_LONG"),
        (404, "model 'qwen3:4b' not found", "UPSTREAM_MISCONFIGURED"),
        (500, "llama runner process has terminated", "UPSTREAM_UNAVAILABLE"),
        (503, "server busy, please try again. maximum pending requests exceeded", "UPSTREAM_UNAVAILABLE"),
    ],
)
async def test_its_errors_are_the_models(status: int, message: str, reason: str) -> None:
    body = json.dumps({"error": message}).encode()
    with pytest.raises(DomainError) as caught:
        await MODEL.bare(raw(body, kind="application/json", status=status), stream=False)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (lines(*HELLO[:2]), "UPSTREAM_BROKEN"),
        (raw(b"{]\n", kind="application/x-ndjson"), "UPSTREAM_BROKEN"),
        (raw(b"{}\n", kind="application/x-ndjson"), "UPSTREAM_BROKEN"),
        (lines({"error": "an error was encountered while running the model"}), "UPSTREAM_UNAVAILABLE"),
    ],
    ids=["breaks off", "no JSON", "nothing", "an error in the stream"],
)
async def test_a_stream_that_is_none(behaviour: Behaviour, reason: str) -> None:
    with pytest.raises(DomainError) as caught:
        await MODEL.generated(behaviour, replace(ASKED, tools=()))
    assert caught.value.reason == reason


async def test_a_tool_that_must_be_called_is_refused() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    with pytest.raises(DomainError) as caught:
        await MODEL.bare(lines(*HELLO), True, tools=tools, tool_choice="required")
    assert caught.value.reason == "MODEL_CANNOT"
