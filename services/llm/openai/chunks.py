"""The JSON of an answer, a whole completion or a chunk of one: its texts, its usage, why it ended. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

Json = dict[str, Any]
# Which text of the answer a piece belongs to: the name of its field, and the index of the tool call.
Channel = tuple[str, int]


class MalformedChunk(ValueError):
    """It is not in OpenAI's form."""


@dataclass(slots=True)
class TextPart:
    """A piece of text, and where in the JSON it stands."""

    channel: Channel
    holder: dict[str, Any]
    key: str
    text: str


@dataclass(slots=True)
class Chunk:
    """An event or a whole completion: its bytes, its JSON, and the texts in it."""

    raw: bytes
    json: Json
    parts: list[TextPart] = field(default_factory=list)
    finish_reason: str = ""

    @property
    def usage(self) -> Json | None:
        usage = self.json.get("usage")
        return usage if isinstance(usage, dict) else None

    @property
    def empty(self) -> bool:
        """Whether it has nothing of the message, as the chunk with the usage has not."""
        return not self.json.get("choices")


def read(raw: bytes, data: bytes, mend: Callable[[Json], bool] | None = None) -> Chunk:
    """`data` is the JSON, `raw` the event around it. `mend` changes the JSON of an upstream that has ways of its own,
    and returns whether it did. Raises MalformedChunk."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise MalformedChunk("is not JSON") from error
    if not isinstance(value, dict):
        raise MalformedChunk("is no object")
    if mend is not None and mend(value):
        raw = orjson.dumps(value) if raw is data else b"data: " + orjson.dumps(value)
    chunk = Chunk(raw, value)
    choices = value.get("choices") or ()
    if not isinstance(choices, list | tuple):
        raise MalformedChunk("has choices that are no list")
    for choice in choices:
        if not isinstance(choice, dict):
            raise MalformedChunk("has a choice that is no object")
        message = choice.get("delta") or choice.get("message")
        if isinstance(message, dict):
            chunk.parts += _parts(message)
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            chunk.finish_reason = reason
    return chunk


def _parts(message: Json) -> Iterator[TextPart]:
    for key, value in message.items():
        if isinstance(value, str):
            if value and key != "role":
                yield TextPart((key, 0), message, key, value)
        elif key == "content":
            yield from _content(value)
        elif key == "tool_calls" and isinstance(value, list):
            for place, call in enumerate(value):
                if isinstance(call, dict):
                    index = call.get("index", place)
                    yield from _arguments(call.get("function"), index if isinstance(index, int) else place)
        elif key == "function_call":
            yield from _arguments(value, -1)


def _content(value: Any) -> Iterator[TextPart]:
    """Some upstreams give a list of parts in place of a text."""
    if value is None:
        return
    if not isinstance(value, list):
        raise MalformedChunk("has a content that is no text")
    for item in value:
        if isinstance(item, dict) and isinstance(item.get("text"), str) and item["text"]:
            yield TextPart(("content", 0), item, "text", item["text"])


def _arguments(function: Any, index: int) -> Iterator[TextPart]:
    text = function.get("arguments") if isinstance(function, dict) else None
    if isinstance(text, str) and text:
        yield TextPart(("arguments", index), function, "arguments", text)


def usage_json(prompt_tokens: int, completion_tokens: int, cached_tokens: int) -> Json:
    """What a call used, in OpenAI's form."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached_tokens},
    }
