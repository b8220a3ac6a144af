"""The JSON of an answer, a whole completion or a chunk of one: its texts, its usage, why it ended. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from services.llm.openai.leaves import NAMES, Leaf, Walk

Json = dict[str, Any]


class Channel(NamedTuple):
    """Which text of the answer a piece belongs to: its field, the index of the choice, and that of the tool call."""

    name: str
    choice: int = 0
    call: int = 0


# Each chunk has those of the last one.
_channel = lru_cache(256)(Channel)
APART = Channel("apart")
"""Of texts that no other continues."""
# What upstreams write piece by piece; all else comes whole.
_FLOWING = frozenset((
    "content", "text", "refusal", "reasoning", "reasoning_content", "reasoning_text", "thinking", "thought",
    "transcript", "arguments", "input", "summary", "output_text", "partial_json",
))  # fmt: skip
# What the server says of its answer.
_ENVELOPE = frozenset(("id", "object", "created", "model", "system_fingerprint", "service_tier", "choices", "usage"))
_MESSAGES = ("delta", "message")
_LONGEST_REASON = 32
Mend = Callable[[Json], bool]
DEEPEST = 64
"""Levels of JSON that an answer may have: beyond 254 it could not be written again."""


class MalformedChunk(ValueError):
    """It is not in OpenAI's form."""


@dataclass(slots=True)
class TextPart(Leaf):
    """A piece of text, where in the JSON it stands, and which text it continues. `counted`: a model has written it."""

    channel: Channel = APART
    counted: bool = True


@dataclass(slots=True)
class Chunk:
    """An event or a whole completion: its bytes, its JSON, and the texts in it. `empty`: it has nothing of the message,
    as the chunk with the usage has not. `mended`: its calls are not as they came. `unread`: the path of what is no
    text; empty where all is. `stray`: the choices whose log probabilities are of other texts than those beside them."""

    raw: bytes
    json: Json
    parts: list[TextPart] = field(default_factory=list)
    finish_reason: str = ""
    empty: bool = True
    mended: bool = False
    unread: str = ""
    stray: list[Json] = field(default_factory=list)

    @property
    def usage(self) -> Json | None:
        usage = self.json.get("usage")
        return usage if isinstance(usage, dict) else None


def read(raw: bytes, data: bytes, mend: Mend | None = None) -> Chunk:
    """`data` is the JSON, `raw` the event around it. `mend` changes the calls in a choice of an upstream that has ways
    of its own, and returns whether it did. Raises MalformedChunk."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise MalformedChunk("is not JSON") from error
    if not isinstance(value, dict):
        raise MalformedChunk("is no object")
    if data.count(b"[") + data.count(b"{") > DEEPEST and _deeper(value, DEEPEST):
        raise MalformedChunk(f"has more than {DEEPEST} levels")
    chunk = Chunk(raw, value)
    choices = value.get("choices") or ()
    if not isinstance(choices, list | tuple):
        raise MalformedChunk("has choices that are no list")
    chunk.empty = not choices
    for place, choice in enumerate(choices):
        if not isinstance(choice, dict):
            raise MalformedChunk("has a choice that is no object")
        index = choice.get("index")
        _choice(chunk, choice, index if isinstance(index, int) else place, mend)
    for key in value.keys() - _ENVELOPE:
        if isinstance(inner := value[key], str | list | dict):
            _apart(chunk, value, key, inner, key)
    if chunk.mended:
        chunk.raw = orjson.dumps(value) if raw is data else b"data: " + orjson.dumps(value)
    return chunk


def _choice(chunk: Chunk, choice: Json, index: int, mend: Mend | None) -> None:
    """Some upstreams have both a delta and a message, and mean the delta."""
    for key, value in choice.items():
        if not value or key == "index":
            continue
        if key in _MESSAGES and isinstance(value, dict) and not (key == "message" and choice.get("delta")):
            if "tool_calls" in value and mend is not None and mend(choice):
                chunk.mended = True
            _message(chunk, value, index)
        elif key == "logprobs":
            continue
        elif key == "finish_reason" and isinstance(value, str) and len(value) <= _LONGEST_REASON:
            chunk.finish_reason = value
        else:
            _apart(chunk, choice, key, value, f"choices[{index}].{key}")
    if choice.get("logprobs") and _are_stray(chunk, choice["logprobs"], index):
        chunk.stray.append(choice)


def _deeper(value: Any, levels: int) -> bool:
    """Whether the value has more than so many levels."""
    level = [value]
    for _ in range(levels):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _message(chunk: Chunk, message: Json, choice: int) -> None:
    for key, value in message.items():
        if key not in NAMES:
            chunk.parts.append(TextPart(message, key, key, named=True, counted=False))
        if not value or (key == "role" and value == "assistant"):
            continue
        if isinstance(value, str) and key in _FLOWING:
            chunk.parts.append(TextPart(message, key, value, False, _channel(key, choice)))
        elif key == "content" and not isinstance(value, list):
            raise MalformedChunk("has a content that is no text")
        elif key == "tool_calls" and isinstance(value, list):
            _calls(chunk, value, choice)
        else:
            _within(chunk, message, key, value, key, choice)


def _calls(chunk: Chunk, calls: list[Any], choice: int) -> None:
    for place, call in enumerate(calls):
        index = call.get("index") if isinstance(call, dict) else None
        _within(chunk, calls, place, call, "tool_calls", choice, index if isinstance(index, int) else place)


def _within(chunk: Chunk, holder: Any, place: Any, value: Any, name: str, choice: int, index: int = 0) -> None:
    """The texts of a field that is a list or an object. Of contents in parts each goes on with the text before it."""
    walk = Walk(spoken=True)
    walk.at(holder, place, value, f"message.{name}")
    for leaf in walk.leaves:
        flows = not leaf.named and (leaf.key in _FLOWING or isinstance(leaf.key, int))
        if flows and name in ("content", "tool_calls"):
            channel = Channel("content" if name == "content" else str(leaf.key), choice, index)
        else:
            channel = Channel(f"{name}.{leaf.key}", choice, index) if flows else APART
        chunk.parts.append(_part(leaf, channel, counted=flows or leaf.key == "name"))
    chunk.unread = chunk.unread or walk.unread


def _apart(chunk: Chunk, holder: Any, key: str, value: Any, path: str) -> None:
    walk = Walk(spoken=True)
    walk.at(holder, key, value, path)
    chunk.parts += [_part(leaf, APART, counted=False) for leaf in walk.leaves]
    chunk.unread = chunk.unread or walk.unread


def _part(leaf: Leaf, channel: Channel, counted: bool) -> TextPart:
    return TextPart(leaf.holder, leaf.key, leaf.text, leaf.named, channel, counted)


def _are_stray(chunk: Chunk, logprobs: Any, index: int) -> bool:
    """Whether the tokens are not those of the choice's text in this chunk, whose fate they share."""
    lists = logprobs.values() if isinstance(logprobs, dict) else ()
    tokens = [
        token.get("token") for each in lists if isinstance(each, list) for token in each if isinstance(token, dict)
    ]
    said = "".join(part.text for part in chunk.parts if part.channel is not APART and part.channel.choice == index)
    return "".join(map(str, tokens)).strip() != said.strip()


def usage_json(prompt_tokens: int, completion_tokens: int, cached_tokens: int) -> Json:
    """What a call used, in OpenAI's form."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached_tokens},
    }
