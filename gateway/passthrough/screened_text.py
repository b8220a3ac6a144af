"""One text of an answer, and what a screen has made of it so far."""

from collections import deque
from dataclasses import dataclass, field

from gateway.passthrough.ports import OutputStream, Released


@dataclass(slots=True)
class _Change:
    """The original text from `start` to `end` became `text`."""

    start: int
    end: int
    text: str


@dataclass(slots=True)
class ScreenedText:
    """One text of the answer, and what has become of it. Counts are characters of the original."""

    stream: OutputStream
    come: int = 0
    decided: int = 0
    undecided: str = ""
    changes: deque[_Change] = field(default_factory=deque)

    def take(self, released: Released) -> None:
        until = min(max(self.stream.released_until, self.decided), self.come)
        width = until - self.decided
        original, self.undecided = self.undecided[:width], self.undecided[width:]
        if released.text != original:
            self.changes.append(_Change(self.decided, until, released.text))
        self.decided = until

    def becomes(self, start: int, text: str) -> str:
        """What the original `text`, which begins at `start`, becomes, as far as it is decided. A change that reaches
        over several pieces goes out with the first of them."""
        while self.changes and self.changes[0].end <= start and not self.changes[0].text:
            self.changes.popleft()
        at, end = start, min(start + len(text), self.decided)
        made: list[str] = []
        for change in self.changes:
            if change.start >= end and change.end > change.start:
                break
            if change.start >= start:
                made += (text[at - start : change.start - start], change.text)
                at = max(at, change.end)
                change.text = ""  # said once
            elif change.end > at:
                at = change.end
        made.append(text[at - start : max(end, at) - start] if at < end else "")
        return "".join(made)
