"""The language model's protocol as plain values, for tests that read and write it by hand."""

from collections.abc import Mapping
from typing import Any

import orjson

from services.llm.triton.protocol import Chunk, Generate, LlmPrompt, encode_chunks


def prompt(payload: Mapping[str, Any]) -> LlmPrompt:
    return LlmPrompt(payload["messages"], payload.get("tools", ()))


def generate(payload: Mapping[str, Any]) -> Generate:
    """A request of the fields that its JSON would have."""
    more = {name: value for name, value in payload.items() if name not in ("messages", "tools", "priority")}
    return Generate("", prompt(payload), batch=payload.get("priority") == "batch", **more)


def plain(chunk: Chunk) -> dict[str, Any]:
    """A chunk as its JSON has it."""
    (values,) = orjson.loads(encode_chunks([chunk]))
    return dict(values)
