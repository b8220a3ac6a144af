"""A detector, and what is done about what it finds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.guard.detector import CONTEXT, Detector, Match, Scan, Window
from gateway.guard.finding import Action, Finding, Mode

_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
_LONGEST_WORD = 280

# What stands in place of a match: of the match, and of the text that it is.
Redact = Callable[[Match, str], str]


def name_it(match: Match, text: str) -> str:
    """<EMAIL>"""
    return f"<{match.category}>"


def mask(match: Match, text: str) -> str:
    """As many stars."""
    return "*" * len(text)


@dataclass(frozen=True, slots=True)
class BoundDetector:
    """`tells`: whether a match is a finding. `acts`: whether text is changed or stopped because of one."""

    detector: Detector
    guard: str
    action: Action
    mode: Mode
    redact: Redact = name_it
    tells: bool = True
    acts: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "acts", self.mode is Mode.ENFORCE and self.action is not Action.FLAG)


@dataclass(frozen=True, slots=True)
class BoundMatch:
    """A match and whose it is. `start` and `end` are places in the whole text."""

    start: int
    end: int
    match: Match
    armed: BoundDetector

    @property
    def finding(self) -> Finding:
        armed, match = self.armed, self.match
        return Finding(
            armed.guard, match.category, armed.action, armed.mode, self.start, self.end, match.score, match.reason
        )

    @property
    def blocks(self) -> bool:
        return self.armed.acts and self.armed.action is Action.BLOCK


class DetectorGroup:
    """Several detectors on one text that comes in pieces. `until`: up to where all of them are sure; what they found
    never reaches over it."""

    def __init__(self, armed: Sequence[BoundDetector]) -> None:
        self._armed = armed
        self._text = ""
        self._start = 0
        self._base = 0

    @property
    def until(self) -> int:
        return self._base + self._start

    def push(self, text: str, final: bool) -> list[BoundMatch]:
        """Take the next piece; returns the hits that are now sure, in order. Time is linear in the piece and what was
        not yet sure."""
        self._text += text
        window = Window(self._text, self._start, self._base, final)
        hits: list[BoundMatch] = []
        open_from = len(self._text)
        for armed in self._armed:
            scan = armed.detector.scan(window)
            if scan.open_from < open_from:
                open_from = scan.open_from
            if scan.matches:
                hits += self._sure(armed, scan)
        until = max(_uncut(hits, self._base + open_from), self.until)
        if final:
            self._start = until - self._base
        else:
            self._advance(until)
        return sorted((hit for hit in hits if hit.end <= until), key=lambda hit: (hit.start, hit.end)) if hits else hits

    def _sure(self, armed: BoundDetector, scan: Scan) -> list[BoundMatch]:
        base = self._base
        return [
            BoundMatch(base + match.start, base + match.end, match, armed)
            for match in scan.matches
            if self._start <= match.start < scan.open_from
        ]

    def _advance(self, until: int) -> None:
        """Keep what is not decided, and so much before it that the edges of words can be seen."""
        drop = _context_from(self._text, until - self._base)
        self._text = self._text[drop:]
        self._base += drop
        self._start = until - self._base


def _uncut(hits: Sequence[BoundMatch], until: int) -> int:
    """The last place up to `until` that is within no hit."""
    while inside := [hit.start for hit in hits if hit.start < until < hit.end]:
        until = min(inside)
    return until


def _context_from(text: str, start: int) -> int:
    """Where the context before `start` begins: CONTEXT characters, or the whole word where that is longer."""
    word = start - min(len(text[:start]) - len(text[:start].rstrip(_VISIBLE)), _LONGEST_WORD)
    return max(min(word, start - CONTEXT), 0)
