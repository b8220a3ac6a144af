"""An answer held back until the text in it is decided, whatever its pieces are.

Pieces keep their order. One goes out when all the text in it and before it is decided, and as it will stay: a reader
that comes back after it has missed nothing of what was before.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeAlias, TypeVar

from gateway.guard.finding import Finding
from gateway.guard.stream import Released
from services.llm.openai.chunks import Channel

Piece = TypeVar("Piece")
Out = TypeVar("Out")


class TextScreen(Protocol):
    """Screens one text as it comes: the part of OutputStream that is needed."""

    @property
    def released_until(self) -> int: ...
    def shift(self, original_index: int) -> int: ...
    def feed(self, text: str) -> Released: ...
    def whole(self, text: str) -> Released: ...


WHOLE = "whole"
"""The name of channels whose text comes in one piece."""
# Makes the screen of one text; an answer has several where it calls tools.
Screen: TypeAlias = Callable[[], TextScreen]


@dataclass(slots=True)
class _Text:
    """One text of the answer: how much of it has come, and what of it is released and has not gone out."""

    screen: TextScreen
    length: int = 0
    released: str = ""
    gone: int = 0

    def until(self, end: int) -> str:
        """What stands for the original up to `end`. What was redacted over several pieces goes out with the first."""
        place = self.screen.shift(end)
        text, self.released = self.released[: place - self.gone], self.released[place - self.gone :]
        self.gone = place
        return text

    def rest(self) -> str:
        text, self.released = self.released, ""
        return text


@dataclass(slots=True)
class Part:
    """A piece's part in a text of the answer: the original, and where it ends in that text."""

    text: _Text
    original: str
    end: int

    @property
    def decided(self) -> bool:
        return self.text.screen.released_until >= self.end


@dataclass(slots=True)
class _Held(Generic[Piece]):
    """Pieces that go out together, with their parts. `open`: more may join them."""

    pieces: list[tuple[Piece, list[Part]]]
    open: bool

    def decided(self) -> bool:
        return not self.open and all(part.decided for _, parts in self.pieces for part in parts)


class HeldStream(ABC, Generic[Piece, Out]):
    """`findings` are those of the answer so far; once `blocked` is set nothing more comes out. What the pieces are, and
    how they are read and written, is for those who derive from it."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._texts: dict[Channel, _Text] = {}
        self._held: deque[_Held[Piece]] = deque()
        self._over = False
        self.findings: list[Finding] = []
        self.blocked: Finding | None = None

    @abstractmethod
    def _read(self, piece: Piece) -> Iterable[tuple[Channel, str]]:
        """The texts in a piece of the answer."""

    @abstractmethod
    def _write(self, piece: Piece, texts: Sequence[str] | None, cut: bool) -> Out:
        """The piece with `texts` in place of its own, None where they are the same. `cut`: the answer ends in it."""

    def _joins(self, piece: Piece) -> bool:
        """Whether the piece goes out with its neighbors that join too, all of them or none; its texts come whole."""
        return False

    def take(self, pieces: Iterable[Piece], last: bool = False) -> list[Out]:
        """Take the next pieces; returns what may go out now. `last`: nothing follows them."""
        due: list[Out] = []
        if self.blocked is not None:
            return due
        self._screen_all(self._hold(pieces), last)
        while self._held and (self.blocked or self._held[0].decided()):
            held = self._held.popleft()
            if held.decided():
                due += [self._made(piece, parts) for piece, parts in held.pieces]
                continue
            self._held.clear()
            piece, parts = held.pieces[0]
            if not self._joins(piece):
                texts = texts_of(parts)
                due += [self._write(piece, texts, cut=True)] if any(texts) else []
        return due

    def shift(self, channel: Channel, index: int) -> int:
        """The place in the text that goes out of one in the original."""
        text = self._texts.get(channel)
        return index if text is None else text.screen.shift(index)

    def _hold(self, pieces: Iterable[Piece]) -> dict[Channel, list[str]]:
        """Hold the pieces; returns their texts by channel. Those that join come whole: their channels are new."""
        arrived: dict[Channel, list[str]] = {}
        for piece in pieces:
            parts = []
            for channel, original in self._read(piece):
                text = self._texts.get(channel)
                if text is None:
                    text = self._texts[channel] = _Text(self._screen())
                text.length += len(original)
                parts.append(Part(text, original, text.length))
                arrived.setdefault(channel, []).append(original)
            joins = self._joins(piece)
            if self._held and self._held[-1].open:
                if joins:
                    self._held[-1].pieces.append((piece, parts))
                    continue
                self._held[-1].open = False
            self._held.append(_Held([(piece, parts)], joins))
        return arrived

    def _screen_all(self, arrived: dict[Channel, list[str]], last: bool) -> None:
        """Screen what has arrived. After a block nothing more is looked at."""
        if last and not self._over:
            self._over = True
            arrived |= {channel: [] for channel in self._texts if channel not in arrived}
        for channel, originals in arrived.items():
            if self.blocked is not None:
                return
            text, original = self._texts[channel], "".join(originals)
            whole = last or channel[0] == WHOLE
            released = text.screen.whole(original) if whole else text.screen.feed(original)
            text.released += released.text
            self.findings += released.findings
            self.blocked = released.blocked

    def _made(self, piece: Piece, parts: list[Part]) -> Out:
        texts = texts_of(parts)
        changed = any(text != part.original for text, part in zip(texts, parts, strict=True))
        return self._write(piece, texts if changed else None, cut=False)


def texts_of(parts: list[Part]) -> list[str]:
    """What goes out of the parts: in one that is not decided, and will not be, all that was released."""
    return [part.text.until(part.end) if part.decided else part.text.rest() for part in parts]
