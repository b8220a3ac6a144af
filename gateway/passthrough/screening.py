"""Chunks held back until their text is decided.

A chunk whose text was let through as it is goes out as the upstream wrote it, byte for byte; only one whose text was
changed is written anew.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import orjson

from gateway.passthrough.ports import Released, Screen
from gateway.passthrough.screened_text import ScreenedText
from services.llm.openai.chunks import Channel, Chunk, Part


@dataclass(slots=True)
class _Held:
    chunk: Chunk
    starts: list[int]


class Screening:
    """Screens the texts of one answer. `blocked` says that nothing may follow what it has given."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._texts: dict[Channel, ScreenedText] = {}
        self._held: deque[_Held] = deque()
        self._over = False
        self.blocked = False

    def take(self, chunks: Sequence[Chunk], last: bool = False) -> list[bytes]:
        """The chunks that may go out now, in order. `last`: no more of them come."""
        new: dict[Channel, list[str]] = {}
        for chunk in chunks:
            starts = []
            for part in chunk.parts:
                text = self._text(part.channel)
                starts.append(text.come)
                text.come += len(part.text)
                new.setdefault(part.channel, []).append(part.text)
            self._held.append(_Held(chunk, starts))
        for channel, pieces in new.items():
            text = self._texts[channel]
            come = "".join(pieces)
            text.undecided += come
            self._take(text, text.stream.whole(come) if last else text.stream.feed(come))
        if last:
            self._over = True
            self._finish(channel for channel in self._texts if channel not in new)
        return self._decided()

    def finish(self) -> list[bytes]:
        """The rest: no more text comes."""
        if not self._over:
            self._over = True
            self._finish(self._texts)
        return self._decided()

    def _finish(self, channels: Iterable[Channel]) -> None:
        for channel in channels:
            if self.blocked:
                break
            text = self._texts[channel]
            self._take(text, text.stream.finish())

    def _text(self, channel: Channel) -> ScreenedText:
        text = self._texts.get(channel)
        if text is None:
            text = self._texts[channel] = ScreenedText(self._screen())
        return text

    def _take(self, text: ScreenedText, released: Released) -> None:
        text.take(released)
        self.blocked = self.blocked or released.blocked is not None

    def _decided(self) -> list[bytes]:
        out: list[bytes] = []
        while self._held and (self.blocked or self._is_decided(self._held[0])):
            held = self._held.popleft()
            if not self.blocked or self._is_decided(held):
                out.append(self._made(held))
                continue
            if any(self._texts[part.channel].decided > start for part, start in _pairs(held)):
                _unfinish(held.chunk)
                out.append(self._made(held))
            self._held.clear()
        return out

    def _is_decided(self, held: _Held) -> bool:
        return all(self._texts[part.channel].decided >= start + len(part.text) for part, start in _pairs(held))

    def _made(self, held: _Held) -> bytes:
        changed = False
        for part, start in _pairs(held):
            text = self._texts[part.channel]
            if text.changes or text.decided < start + len(part.text):
                made = text.becomes(start, part.text)
                if made != part.text:
                    part.holder[part.key] = made
                    changed = True
        return written(held.chunk) if changed else held.chunk.raw


def _pairs(held: _Held) -> "zip[tuple[Part, int]]":
    return zip(held.chunk.parts, held.starts, strict=True)


def _unfinish(chunk: Chunk) -> None:
    """What was cut short ended for another reason than the upstream's."""
    for choice in chunk.json["choices"]:
        choice["finish_reason"] = None


def written(chunk: Chunk) -> bytes:
    """A chunk as an event, written anew: without the log probabilities, which repeat its text token by token."""
    for choice in chunk.json["choices"]:
        if choice.get("logprobs"):
            choice["logprobs"] = None
    return b"data: " + orjson.dumps(chunk.json)
