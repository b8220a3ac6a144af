"""Chunks of one answer that differ in their text alone, as most do: what is the same in them is read once. Pure."""

import re
from collections.abc import Callable

import orjson

from services.llm.openai import chunks
from services.llm.openai.chunks import APART, Chunk, TextPart

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
# What stands in place of the text while it is tried whether it is the text.
_TRIED = "the text of a chunk"
# Answers of some upstreams have something else in every chunk.
_MOST_TRIES = 4


class _Shared(TextPart):
    """A text whose place others have too."""

    __slots__ = ()

    def put(self, text: str) -> None:
        self.holder[self.key] = self.text = text


class AlikeChunks:
    """Those of one answer."""

    def __init__(self) -> None:
        self._before = self._after = b""
        self._out: tuple[bytes, bytes] | None = None
        self._chunk: Chunk | None = None
        self._tries = 0

    def read(self, raw: bytes, data: bytes) -> Chunk | None:
        """The chunk, where it is the one that was learned with another text, completed like that one; None for any
        other. All have one JSON, in which a text is put when it is written."""
        like, before, after = self._chunk, self._before, self._after
        if like is None or not (data.startswith(before) and data.endswith(after)):
            return None
        written = data[len(before) : -len(after)]
        if written[:1] != b'"':
            return None
        try:
            text = orjson.loads(written)
        except orjson.JSONDecodeError:
            return None
        if not text:
            return None
        self._tries = 0
        part = like.parts[0]
        if self._out is not None:
            raw = self._out[0] + written + self._out[1]
        elif b"\n" in raw:
            raw = b"data: " + data.replace(b"\n", b" ")
        return Chunk(raw, like.json, [_Shared(part.holder, part.key, text, False, "", part.channel)], empty=False)

    def learn(self, data: bytes, chunk: Chunk, complete: Callable[[Chunk], None]) -> None:
        """Take a chunk for one whose like may follow, where it has one text of the answer and nothing else. `complete`
        is what is done to each like it, after this one, and changes its bytes where it does anything."""
        if self._tries >= _MOST_TRIES or not _is_text(chunk) or b'"tool_calls"' in data:
            return
        self._tries += 1
        key = re.escape(orjson.dumps(chunk.parts[0].key))
        for name in re.finditer(key + rb"\s*:\s*", data):
            if written := _STRING.match(data, name.end()):
                before, after = data[: written.start()], data[written.end() :]
                tried = chunks.read(b"", before + orjson.dumps(_TRIED) + after)
                if _is_text(tried) and tried.parts[0].text == _TRIED and _place(tried) == _place(chunk):
                    complete(tried)
                    if (out := _around(tried.raw)) is not None or not tried.raw:
                        self._before, self._after, self._out, self._chunk = before, after, out, tried
                    return


def _around(raw: bytes) -> tuple[bytes, bytes] | None:
    """What stands around the text in the bytes of a chunk that was tried; None where there is no such place."""
    before, text, after = raw.partition(orjson.dumps(_TRIED))
    return (before, after) if text and orjson.dumps(_TRIED) not in after else None


def _is_text(chunk: Chunk) -> bool:
    """Whether a chunk has one text of the answer and nothing else, not even log probabilities."""
    if len(chunk.parts) != 1 or chunk.usage or chunk.finish_reason or chunk.mended or chunk.unread or chunk.media:
        return False
    part = chunk.parts[0]
    whole = part.named or part.path or part.channel is APART or not part.counted
    return not whole and not any(choice.get("logprobs") for choice in chunk.json["choices"])


def _place(chunk: Chunk) -> tuple[object, ...]:
    part = chunk.parts[0]
    return part.key, part.channel, chunk.choices
