"""One text of an answer that is held back: what of it is decided, and what goes out in place of each part of it."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from gateway.guard.stream import Released


class TextScreen(Protocol):
    """Screens one text as it comes: the part of OutputStream that is needed."""

    @property
    def released_until(self) -> int: ...
    def shift(self, original_index: int) -> int: ...
    def feed(self, text: str) -> Released: ...
    def whole(self, text: str) -> Released: ...


# Makes the screen of one text; an answer has several where it calls tools.
Screen: TypeAlias = Callable[[], TextScreen]


class HeldText:
    """One text of the answer. `length`: how much of it has come; `decided`: up to where it is decided, in the original;
    `gone`: how much of what was released has gone out; `same`: whether nothing was changed so far. `recent`: the end
    of a thought, `before`: how much of the text had gone out before it was taken up again."""

    __slots__ = (
        "_before",
        "_released",
        "_start",
        "_undecided",
        "decided",
        "gone",
        "length",
        "recent",
        "same",
        "screen",
    )

    def __init__(self, screen: TextScreen) -> None:
        self.screen = screen
        self.length = self.decided = 0
        self.same = True
        self._undecided = self._released = ""
        self._start = self.gone = self._before = 0
        self.recent = ""

    def go_on(self, recent: str) -> None:
        """Begin behind what has gone out already."""
        released = self.screen.feed(recent)
        self.recent = recent
        self.length = self._before = len(recent)
        self.take(recent, released.text)
        self.gone = self.screen.shift(self.decided)

    def take(self, original: str, released: str) -> None:
        """The next of the original, and what of the text is released with it."""
        width = self.screen.released_until - self.decided
        undecided = self._undecided + original
        self.same = self.same and released == undecided[:width]
        self._undecided = undecided[width:]
        self.decided += width
        self._released = self._released[self.gone - self._start :] + released
        self._start = self.gone

    def until(self, end: int, original: str) -> str:
        """What stands for the `original` that ends there. What was redacted over several parts goes out with the
        first."""
        if self.same:
            self.gone = end
            return original
        start, self.gone = self._first(), self.screen.shift(end)
        return self._released[start - self._start : self.gone - self._start]

    def rest(self) -> str:
        """All that was released and has not gone out."""
        return self._released[self._first() - self._start :]

    def _first(self) -> int:
        return max(self.gone, self.screen.shift(self._before)) if self._before else self.gone
