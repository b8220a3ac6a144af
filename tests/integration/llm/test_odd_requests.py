"""What clients write in the wrong type, to each provider's wire: asked or refused, never an internal error."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from services.llm.wires.anthropic_request import messages_request
from services.llm.wires.bedrock_request import converse_request
from services.llm.wires.gemini_request import content_request
from services.llm.wires.ollama_request import chat_request
from services.runtime.errors import InvalidArgument

WIRES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "anthropic": messages_request,
    "bedrock": converse_request,
    "gemini": content_request,
    "ollama": lambda body: chat_request(body, 0),
}
ODD: list[Any] = [
    None,
    True,
    0,
    5,
    0.5,
    "x",
    "",
    [],
    [5],
    [None],
    ["x"],
    [[]],
    {},
    {"x": 5},
    {"type": 5},
    [{}],
    [{"x": 5}],
]
USER = {"role": "user", "content": "Hi"}
BODY = {"model": "m", "messages": [USER]}
FIELDS = ("stop", "tools", "tool_choice", "response_format", "max_tokens", "temperature", "stream", "user", "thinking",
          "reasoning_effort", "parallel_tool_calls", "n", "seed")  # fmt: skip
TOOL = {"type": "function", "function": {"name": "f"}}


def odd_bodies() -> list[dict[str, Any]]:
    bodies = [BODY | {field: value} for field in FIELDS for value in ODD]
    bodies += [BODY | {"tools": [value], "tool_choice": "auto"} for value in ODD]
    bodies += [BODY | {"tools": [TOOL], "tool_choice": value} for value in ODD]
    bodies += [
        BODY | {"tools": [{"type": "function", "function": {"name": "f", "parameters": value}}]} for value in ODD
    ]
    bodies += [BODY | {"response_format": {"type": "json_schema", "json_schema": value}} for value in ODD]
    for value in ODD:
        parts = [{"type": kind, kind: value} for kind in ("text", "image_url", "input_audio", "refusal", "file")]
        messages = [
            *({"role": "user", "content": [part]} for part in parts),
            {"role": "user", "content": value}, {"role": "system", "content": value},
            {"role": "user", "content": "Hi", "cache_control": value},
            {"role": "assistant", "content": None, "tool_calls": value},
            {"role": "assistant", "tool_calls": [{"id": "c", "function": value}]},
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": value}}]},
            {"role": "tool", "content": value, "tool_call_id": "c"},
            {"role": "tool", "content": "x", "tool_call_id": value},
        ]  # fmt: skip
        bodies += [BODY | {"messages": [message, USER]} for message in messages]
    return bodies


@pytest.mark.parametrize("wire", WIRES)
def test_what_is_of_the_wrong_type_is_asked_or_refused(wire: str) -> None:
    failed = []
    for body in odd_bodies():
        try:
            orjson.dumps(WIRES[wire](body))
        except InvalidArgument:
            pass
        except Exception as error:  # noqa: BLE001 (what a caller would hear of as an internal error)
            failed.append(f"{type(error).__name__}: {error}: {orjson.dumps(body).decode()}")
    assert not failed, f"{len(failed)}: " + "\n".join(failed[:10])
