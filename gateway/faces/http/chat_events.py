"""The chunks of a chat completion, out of what the chat's face writes, for faces of other forms. Pure."""

from collections.abc import Iterator

import orjson

from services.llm.openai.chunks import Json
from services.llm.sse import DONE, data_of


def chunks_of(data: bytes) -> Iterator[Json]:
    """The chunks in whole events; the mark of the end is none."""
    for event in data.split(b"\n\n"):
        payload = data_of(event)
        if payload and payload != DONE:
            yield orjson.loads(payload)


def is_over(data: bytes) -> bool:
    """Whether the mark of the end is among the events."""
    return data.endswith(b"data: " + DONE + b"\n\n")


def choice_of(answer: Json) -> Json:
    """The one choice of a chunk or of a whole completion; empty where it has none."""
    choices = answer.get("choices")
    return choices[0] if choices else {}
