"""The JSON of an answer, a whole completion or a chunk of one: its texts, its usage, why it ended. Pure."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from services.llm.openai import words
from services.llm.openai.form import is_head, restore
from services.llm.openai.leaves import NAMES, Leaf, Walk
from services.llm.openai.logprobs import are_strict, stray_text

Json = dict[str, Any]


class Channel(NamedTuple):
    """Which text of the answer a piece belongs to: its field, the index of the choice, and that of the tool call. A
    name with dots is the path of a field that no API of today writes piece by piece."""

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
_MESSAGES = ("delta", "message")
_PLACES = re.compile(r"\[\d+\]")
# Beside the choices of the last chunks, by its id, where all of it is the API's own: each chunk of an answer has it.
_heads: dict[str, Json] = {}
_MOST_HEADS = 1024
_LONGEST_ID = 64
# A string, and the colon behind it where it is a name.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"\s*(:)?')
Mend = Callable[[Json], bool]
DEEPEST = 64
"""Levels of JSON that an answer may have: beyond 254 it could not be written again."""


class MalformedChunk(ValueError):
    """It is not in OpenAI's form."""


@dataclass(slots=True)
class TextPart(Leaf):
    """A piece of text, where in the JSON it stands, and which text it continues. `counted`: it may be that a model has
    written it, and it is no name or id of the usual length."""

    channel: Channel = APART
    counted: bool = True


@dataclass(slots=True)
class Chunk:
    """An event or a whole completion: its bytes, its JSON, and the texts in it. `empty`: it has nothing of the message,
    as the chunk with the usage has not. `choices`: how many there are at least, by their indexes. `mended`: its JSON is
    not as it came, or is one that clients cannot read. `unread`: the path of what is no text; empty where all is.
    `media`: about how many tokens that has. `stray`: the choices whose log probabilities are of other texts than those
    beside them; `loose`: those where they have more than these. `beyond`: the tokens that are of no text."""

    raw: bytes
    json: Json
    parts: list[TextPart] = field(default_factory=list)
    finish_reason: str = ""
    empty: bool = True
    choices: int = 1
    mended: bool = False
    unread: str = ""
    media: int = 0
    stray: Sequence[Json] = ()
    loose: Sequence[Json] = ()
    beyond: str = ""

    @property
    def usage(self) -> Json | None:
        usage = self.json.get("usage")
        return usage if isinstance(usage, dict) else None


def read(raw: bytes, data: bytes, mend: Mend | None = None) -> Chunk:
    """`data` is the JSON, `raw` the event around it. `mend` changes the calls in a choice of an upstream that has ways
    of its own, and returns whether it did. Raises MalformedChunk."""
    value = _parsed(data)
    chunk = Chunk(raw, value)
    same_name_twice = orjson.dumps(value) != data and _has_name_twice(data, value)
    choices = value.pop("choices", None)
    name = value.get("id")
    if type(name) is not str or _heads.get(name) != value:
        _head(chunk, value, streamed=raw is not data)
    if choices is not None:
        value["choices"] = choices
    if choices:
        _choices(chunk, choices, mend)
    elif not isinstance(choices, list):
        chunk.mended = True
    if same_name_twice:
        chunk.mended = True
    if chunk.mended:
        restore(value, raw is data)
        chunk.raw = orjson.dumps(value) if raw is data else b"data: " + orjson.dumps(value)
    elif raw is not data and b"\n" in raw:
        chunk.raw = b"data: " + data.replace(b"\n", b" ")
    return chunk


def _parsed(data: bytes) -> Json:
    """Raises MalformedChunk."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise MalformedChunk("is not JSON") from error
    if not isinstance(value, dict):
        raise MalformedChunk("is no object")
    if data.count(b"[") + data.count(b"{") > DEEPEST and _deeper(value, DEEPEST):
        raise MalformedChunk(f"has more than {DEEPEST} levels")
    return value


def _has_name_twice(data: bytes, value: Any) -> bool:
    """Whether a name is given twice in one object, of which another reader may take the other value. `value` is the
    same without it."""
    written = sum(1 for string in _STRING.finditer(data) if string[1])
    kept, inner = 0, [value]
    while inner:
        each = inner.pop()
        if isinstance(each, dict):
            kept += len(each)
            inner += each.values()
        elif isinstance(each, list):
            inner += each
    return written != kept


def _choices(chunk: Chunk, choices: Any, mend: Mend | None) -> None:
    if not isinstance(choices, list):
        raise MalformedChunk("has choices that are no list")
    chunk.empty = False
    for place, choice in enumerate(choices):
        if not isinstance(choice, dict):
            raise MalformedChunk("has a choice that is no object")
        index = choice.get("index")
        if not isinstance(index, int):
            index, chunk.mended = place, True
        if index or place:
            chunk.choices = max(chunk.choices, abs(index) + 1, place + 1)
        _choice(chunk, choice, index, mend)


def _head(chunk: Chunk, head: Json, *, streamed: bool) -> None:
    """The texts beside the choices. Only those of a stream come again."""
    for key, value in head.items():
        if key not in words.HEAD and key not in NAMES:
            chunk.parts.append(TextPart(head, key, key, named=True))
        if value is None or words.is_own(key, value):
            continue
        if key == "usage" and isinstance(value, dict):
            _usage(chunk, value, "usage")
        else:
            _apart(chunk, head, key, value, key)
    chunk.mended = not is_head(head)
    name = head.get("id")
    if not streamed or chunk.mended:
        return
    if not chunk.parts and not chunk.unread and isinstance(name, str) and len(name) <= _LONGEST_ID:
        if len(_heads) >= _MOST_HEADS:
            _heads.clear()
        if "usage" not in head or head["usage"] is None:
            _heads[name] = dict(head)


def _usage(chunk: Chunk, usage: Json, path: str) -> None:
    """What a usage has beside its numbers."""
    for key, value in usage.items():
        if key in words.USAGE and (value is None or isinstance(value, int | float)):
            continue
        if key in words.USAGE and isinstance(value, dict):
            _usage(chunk, value, f"{path}.{key}")
            continue
        if key not in words.USAGE:
            chunk.parts.append(TextPart(usage, key, key, named=True))
        _apart(chunk, usage, key, value, f"{path}.{key}")


def _choice(chunk: Chunk, choice: Json, index: int, mend: Mend | None) -> None:
    """Some upstreams have both a delta and a message, and mean the delta. What stands beside it comes first, so that
    it is decided when the answer goes on."""
    message: Json | None = None
    for key, value in choice.items():
        if not value:
            if key not in words.CHOICE:
                chunk.parts.append(TextPart(choice, key, key, named=True))
        elif key in _MESSAGES and isinstance(value, dict):
            message = value if key == "delta" or not choice.get("delta") else message
        elif key != "logprobs" and not (key == "index" and isinstance(value, int)):
            _beside(chunk, choice, key, value, index)
    if message is None or choice.get("message"):
        _odd_message(chunk, choice, message, index)
    if message is not None:
        if "tool_calls" in message and mend is not None and mend(choice):
            chunk.mended = True
        _message(chunk, message, index)
    if (logprobs := choice.get("logprobs")) is not None:
        _probabilities(chunk, choice, logprobs, index)


def _odd_message(chunk: Chunk, choice: Json, message: Json | None, index: int) -> None:
    """A choice whose message is empty, or not where a chunk has it: a whole completion's is there by right."""
    if message is None:
        chunk.mended = chunk.mended or not isinstance(choice.get("delta"), dict)
    elif (both := choice["message"]) is not message:
        _within(chunk, choice, "message", both, "choice", index)
    elif not chunk.raw.lstrip().startswith(b"{"):
        chunk.mended = True


def _beside(chunk: Chunk, choice: Json, key: str, value: Any, index: int) -> None:
    """A field beside the message."""
    if key == "finish_reason":
        known = words.FINISHES.get(value) if isinstance(value, str) else None
        chunk.finish_reason = known or words.OTHER_FINISH
        if chunk.finish_reason != value:
            choice[key], chunk.mended = chunk.finish_reason, True
        return
    if key not in words.CHOICE:
        chunk.parts.append(TextPart(choice, key, key, named=True))
    _within(chunk, choice, key, value, "choice", index)


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
            chunk.parts.append(TextPart(message, key, key, named=True))
        if not value or (key == "role" and value == "assistant"):
            continue
        if isinstance(value, str) and key in _FLOWING:
            chunk.parts.append(TextPart(message, key, value, False, "", _channel(key, choice)))
        elif key == "content" and not isinstance(value, list):
            raise MalformedChunk("has a content that is no text")
        elif key == "tool_calls" and isinstance(value, list):
            _calls(chunk, value, choice)
        else:
            chunk.mended = chunk.mended or key == "tool_calls"
            _within(chunk, message, key, value, "message", choice)


def _calls(chunk: Chunk, calls: list[Any], choice: int) -> None:
    for place, call in enumerate(calls):
        index = None
        if isinstance(call, dict):
            index = call.get("index")
            function = call.get("function")
            if not isinstance(function, dict):
                chunk.mended = chunk.mended or function is not None
            elif isinstance(function.get("arguments"), dict | list):
                function["arguments"] = orjson.dumps(function["arguments"]).decode()
                chunk.mended = True
        else:
            chunk.mended = True
        _within(chunk, calls, place, call, "tool_calls", choice, index if isinstance(index, int) else place)


def _within(chunk: Chunk, holder: Any, place: Any, value: Any, under: str, choice: int, index: int = 0) -> None:
    """The texts of a field of a choice or its message, be it a list or an object. Of contents in parts each goes on
    with the text before it."""
    walk = Walk(spoken=True)
    walk.at(holder, place, value, f"{under}.{place}" if isinstance(place, str) else under)
    for leaf in walk.leaves:
        if leaf.named or not leaf.path:
            channel = APART
        elif leaf.key in _FLOWING or isinstance(leaf.key, int):
            channel = _flow(under, place, leaf, choice, index)
        else:
            channel = Channel(leaf.path, choice, index)
        chunk.parts.append(_part(leaf, channel))
    _unread(chunk, walk)


def _flow(under: str, place: Any, leaf: Leaf, choice: int, index: int) -> Channel:
    if place == "content":
        return _channel("content", choice, index)
    if under == "tool_calls" and leaf.key in ("arguments", "input"):
        return _channel(leaf.key, choice, index)
    return Channel(leaf.path if isinstance(leaf.key, int) else _PLACES.sub("", leaf.path), choice, index)


def _apart(chunk: Chunk, holder: Any, key: str, value: Any, path: str) -> None:
    walk = Walk(spoken=True)
    walk.at(holder, key, value, path)
    chunk.parts += [_part(leaf, APART) for leaf in walk.leaves]
    _unread(chunk, walk)


def _unread(chunk: Chunk, walk: Walk) -> None:
    chunk.unread = chunk.unread or walk.unread
    chunk.media += walk.media


def _part(leaf: Leaf, channel: Channel) -> TextPart:
    counted = not words.is_mark(leaf.key, leaf.text)
    return TextPart(leaf.holder, leaf.key, leaf.text, leaf.named, leaf.path, channel, counted)


def _probabilities(chunk: Chunk, choice: Json, logprobs: Any, index: int) -> None:
    """Sort out log probabilities that are not those of the choice's text in this chunk, whose fate they share."""
    chunk.mended = chunk.mended or not isinstance(logprobs, dict)
    if not logprobs:
        return
    said = "".join(part.text for part in chunk.parts if "." not in part.channel.name and _is_of(part, index))
    beyond = stray_text(logprobs, said)
    if beyond is not None:
        chunk.stray = [*chunk.stray, choice]
        chunk.beyond += beyond
    elif not are_strict(logprobs):
        chunk.loose = [*chunk.loose, choice]


def _is_of(part: TextPart, index: int) -> bool:
    return part.channel is not APART and part.channel.choice == index


def usage_json(
    prompt_tokens: int, completion_tokens: int, cached_tokens: int, reasoning_tokens: int, kept_tokens: int = 0
) -> Json:
    """What a call used, in OpenAI's form."""
    kept = {"cache_write_tokens": kept_tokens} if kept_tokens else {}
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached_tokens, **kept},
        "completion_tokens_details": {"reasoning_tokens": reasoning_tokens},
    }
