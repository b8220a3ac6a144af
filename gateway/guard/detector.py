"""What a detector is: it finds matches in a stretch of text, and says from where on it cannot be sure yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from gateway.guard.normalize import PLAIN, SEARCH, Folded

# Characters before what is undecided that are kept, and the word that they are in.
CONTEXT = 16


@dataclass(frozen=True, slots=True)
class Match:
    """A stretch of text, `start` to `end`. `replacement`: what stands in its place when it is redacted; None where
    that depends on what is there and is left to the stage. `told_by`: how many characters before it tell it, where
    those are more than CONTEXT."""

    start: int
    end: int
    category: str
    replacement: str | None = None
    score: float = 1.0
    reason: str = ""
    told_by: int = 0


class Scan(NamedTuple):
    """`matches` that start at or after the window's start. Whatever starts before `open_from` is final: no further
    text adds to it, removes it or changes it."""

    matches: Sequence[Match]
    open_from: int


class Window:
    """A stretch of a longer text. Before `start` is what has been decided, kept so that the edges of words can be seen:
    CONTEXT characters, or fewer at the beginning. `base`: where in the whole text it begins. `final`: nothing follows.
    `read`: the text as it is read, where that is not as it stands. With its disguises off it is made once, when a
    detector first asks for it.
    """

    __slots__ = ("_plain", "_search", "base", "final", "read", "start", "text")

    def __init__(
        self, text: str, start: int = 0, base: int = 0, final: bool = True, read: Folded | None = None
    ) -> None:
        self.text = text
        self.start = start
        self.base = base
        self.final = final
        self.read = read if read is not None else Folded(text, None, len(text))
        self._plain: Folded | None = None
        self._search: Folded | None = None

    @property
    def plain(self) -> Folded:
        """Widths, dashes and digits folded, invisible characters out; case kept."""
        if self._plain is None:
            self._plain = PLAIN.fold(self.read.text).over(self.read)
        return self._plain

    @property
    def search(self) -> Folded:
        """Case, accents and characters that look alike folded as well."""
        if self._search is None:
            text = self.read.text
            if self._plain is not None and self._plain.text is text and text.isascii():
                self._search = Folded(text.lower(), None, len(text)).over(self.read)
            else:
                self._search = SEARCH.fold(text).over(self.read)
        return self._search


class Detector(Protocol):
    """Finds one kind of thing. What a match is depends on nothing but the text from CONTEXT characters before it to its
    end and what closes it, so that a text gives the same matches in whatever pieces it comes. Time is linear."""

    def scan(self, window: Window) -> Scan:
        """All matches that start in the window, and from where on it is open. Positions are those in window.text."""
        ...
