"""What a model's server gives beside a call of a caller's tool, by way of OpenAI's own package and back to it."""

from typing import Any

import orjson
import pytest
from headworks.orchestrator.v1 import run_event_pb2 as event_pb
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.faces.http.openai import chat_request
from gateway.faces.http.openai.chat_response import Completion
from gateway.faces.http.openai.chunks import Chunks
from gateway.faces.http.openai.seen import Seen
from services.llm.generation import Generation
from services.llm.openai.request import body
from services.orchestrator import convert, requests
from services.orchestrator.domain.event import Body, Event, Finished, FinishReason, ReasoningDelta, ToolCallRequested
from services.orchestrator.domain.tool import ToolCall

SEALED = {"google": {"thought_signature": "c2VhbGVk"}}
USER = {"role": "user", "content": "2+2?"}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "4"}


def events_of(beside: dict[str, Any], thought: str) -> list[event_pb.RunEvent]:
    call = ToolCall("c1", "add", '{"a": 1}', orjson.dumps(beside).decode() if beside else "")
    other = ToolCall("c2", "add", '{"a": 2}')
    said: list[Body] = [ReasoningDelta(thought)] if thought else []
    said += [ToolCallRequested(call, 1, callers=True), ToolCallRequested(other, 1, callers=True)]
    said.append(Finished(FinishReason.TOOL_CALLS))
    return [convert.event("run_1", Event(number, one)) for number, one in enumerate(said, 1)]


def whole(events: list[event_pb.RunEvent]) -> dict[str, Any]:
    completion = Completion(Seen("small"))
    completion.take(events)
    parsed = ChatCompletion.model_validate(completion.json(0))
    return parsed.choices[0].message.model_dump(exclude_none=True)


def streamed(events: list[event_pb.RunEvent]) -> dict[str, Any]:
    """The message as a client puts it together."""
    chunks = Chunks(Seen("small"))
    message: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": []}
    for data in (chunks.take(events) + chunks.last(0, include_usage=True)).split(b"\n\n")[:-2]:
        chunk = ChatCompletionChunk.model_validate(orjson.loads(data.removeprefix(b"data: ")))
        for choice in chunk.choices:
            delta = choice.delta.model_dump(exclude_none=True)
            message["tool_calls"] += delta.get("tool_calls", ())
            if thought := delta.get("reasoning_content"):
                message["reasoning_content"] = message.get("reasoning_content", "") + thought
    return message


@pytest.mark.parametrize("client", [whole, streamed])
@pytest.mark.parametrize(
    ("beside", "thought"),
    [
        ({}, ""),
        ({}, "Let me add."),
        ({"extra_content": SEALED}, ""),
        ({"extra_content": SEALED, "provider_specific_fields": {"thought_signature": "c2VhbGVk"}}, "Let me add."),
        ({"reasoning_content": "Let me add."}, "Let me add."),
        ({"extra_content": SEALED, "reasoning_content": "Let me add."}, "Let me add."),
    ],
    ids=str,
)
def test_a_server_gets_back_what_it_gave(client: Any, beside: dict[str, Any], thought: str) -> None:
    message = client(events_of(beside, thought))
    chat = chat_request.read({"model": "small", "messages": [USER, message, RESULT, {**RESULT, "tool_call_id": "c2"}]})
    sent = body(Generation(requests.ask(chat.run).messages), "small")["messages"][1]
    first, second = sent["tool_calls"]
    extras = {name: value for name, value in beside.items() if name != "reasoning_content"}
    assert {name: value for name, value in first.items() if name not in ("id", "type", "function")} == extras
    assert set(second) == {"id", "type", "function"}
    assert sent.get("reasoning_content") == beside.get("reasoning_content")
