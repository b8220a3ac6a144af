"""A detector, and what is done about what it finds."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from gateway.guard.detector import CONTEXT, Detector, Match, Scan, Window
from gateway.guard.escapes import Unescaped, may_escape, unescape, unescaped
from gateway.guard.finding import Action, Finding, Mode
from gateway.guard.json_strings import JsonStrings
from gateway.guard.json_text import JsonShape
from gateway.guard.normalize import Folded

VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
_LONGEST_WORD = 280
_LINKS = "links"
# How the strings of a JSON are joined: all, every two, and as groups.
_JOINTS: Sequence[tuple[str, int]] = (("", 2), ("", 0), ("", 1), (" ", 2))
# What these find may be in groups, of which each may be a string.
_GROUPED = frozenset(("pii",))
# However little of it is seen.
_LONGEST_CONTEXT = 2048

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
    """A match and whose it is. `start` and `end` are places in the whole text. `behind`: it is read behind escapes."""

    start: int
    end: int
    match: Match
    armed: BoundDetector
    behind: bool = False

    @property
    def finding(self) -> Finding:
        armed, match = self.armed, self.match
        return Finding(
            armed.guard, match.category, armed.action, armed.mode, self.start, self.end, match.score, match.reason
        )

    @property
    def blocks(self) -> bool:
        return self.armed.acts and self.armed.action is Action.BLOCK


class Spans:
    """Stretches of a text, those together that overlap."""

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(spans):
            if self._ends and start < self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def touch(self, start: int, end: int) -> bool:
        """Whether one of them overlaps this one."""
        at = bisect_left(self._starts, end) - 1
        return at >= 0 and self._ends[at] > start


class DetectorGroup:
    """Several detectors on one text that comes in pieces. `until`: up to where all of them are sure; what they found
    never reaches over it. Behind escapes the text is read too; of JSON it is the first that counts, and its strings are
    read one behind the other. `json`: the text is known to be such."""

    def __init__(self, armed: Sequence[BoundDetector], json: bool = False) -> None:
        self._armed = armed
        self._shape = JsonShape(json)
        self._strings: JsonStrings | None = None
        self._text = ""
        self._start = 0
        self._base = 0

    @property
    def until(self) -> int:
        return self._base + self._start

    @property
    def json(self) -> bool:
        """Whether the text is JSON, as far as it is known."""
        return self._shape.json

    def push(self, text: str, final: bool) -> list[BoundMatch]:
        """Take the next piece; returns the hits that are now sure, in order. Time is linear in the piece and what was
        not yet sure."""
        self._text += text
        json = self._shape.take(text)
        behind = None
        windows = [Window(self._text, self._start, self._base, final)]
        if json or may_escape(self._text, final):
            behind = unescape(self._text, final, strings=json)
            read = Window(self._text, self._start, self._base, final, behind.read)
            windows = [read, *windows] if behind.starts else [read]
            joined = self._joined(text, behind.read, final) if json else []
            hits, open_from = self._scan_both(windows, behind, joined)
            windows += joined
        else:
            hits, open_from = self._scan(windows[0])
        until = max(_uncut(hits, self._base + open_from), self.until)
        if final:
            self._start = until - self._base
        else:
            told_from = min((hit.start - hit.match.told_by for hit in hits if hit.end > until), default=until)
            self._advance(until, told_from, windows, behind)
        return sorted((hit for hit in hits if hit.end <= until), key=lambda hit: (hit.start, hit.end)) if hits else hits

    def _scan(self, window: Window) -> tuple[list[BoundMatch], int]:
        """What is found in a window, and from where on it is open."""
        hits: list[BoundMatch] = []
        open_from = len(self._text)
        for armed in self._armed:
            scan = armed.detector.scan(window)
            if scan.open_from < open_from:
                open_from = scan.open_from
            if scan.matches:
                hits += self._sure(armed, scan)
        return hits, open_from

    def _joined(self, piece: str, read: Folded, final: bool) -> list[Window]:
        """The windows with the strings of a JSON one behind the other, in pairs too, and with spaces between them."""
        if self._strings is None:
            self._strings = JsonStrings(self._base)
            piece = self._text
        self._strings.take(piece)
        views = (self._strings.joined(read, self._base, final, *joints) for joints in _JOINTS)
        return [Window(self._text, self._start, self._base, final, view) for view in views if view is not None]

    def _scan_both(
        self, windows: Sequence[Window], behind: Unescaped, joined: Sequence[Window]
    ) -> tuple[list[BoundMatch], int]:
        """The same of a text as it is read, and as it stands where that is another, and of its strings `joined`."""
        hits: list[BoundMatch] = []
        open_from = behind.read.length
        for armed in self._armed:
            scans = [armed.detector.scan(window) for window in windows]
            own = self._merged([self._sure(armed, scan) for scan in scans], behind) if _any(scans) else []
            for window in joined if armed.guard in _GROUPED else joined[:-1]:
                scans.append(armed.detector.scan(window))
                own += self._across(armed, scans[-1], behind, own)
            hits += own
            open_from = min(open_from, *(scan.open_from for scan in scans))
        return hits, behind.down(open_from)

    def _across(
        self, armed: BoundDetector, scan: Scan, behind: Unescaped, own: Sequence[BoundMatch]
    ) -> list[BoundMatch]:
        """What reaches over several strings of a JSON, none of which has such a thing by itself. A name of a host
        without a scheme is none: any sentence may stand beside another."""
        across: list[BoundMatch] = []
        base, strings = self._base, self._strings
        if strings is None or not scan.matches:
            return across
        taken = Spans((hit.start, hit.end) for hit in own)
        for hit in self._sure(armed, scan):
            start, end = base + behind.down(hit.start - base), base + behind.up(hit.end - base)
            parts = strings.parts(start, end)
            if len(parts) < 2 or taken.touch(start, end):
                continue
            found = unescaped("".join(self._text[first - base : last - base] for first, last in parts))
            if armed.guard == _LINKS and "//" not in found:
                continue
            if hit.match.replacement is None and armed.acts:
                hit = replace(hit, match=replace(hit.match, replacement=armed.redact(hit.match, found)))
            across.append(replace(hit, start=start, end=end))
        return across

    def _sure(self, armed: BoundDetector, scan: Scan) -> list[BoundMatch]:
        base = self._base
        return [
            BoundMatch(base + match.start, base + match.end, match, armed)
            for match in scan.matches
            if self._start <= match.start < scan.open_from
        ]

    def _merged(self, several: Sequence[Sequence[BoundMatch]], behind: Unescaped) -> list[BoundMatch]:
        """What one detector finds behind the escapes and in the text as it stands, each once. None ends within an
        escape: a match that would is part of another, or takes in the whole of it."""
        base = self._base
        found: dict[tuple[int, str], BoundMatch] = {}
        for number, hits in enumerate(several):
            taken = Spans((hit.start, hit.end) for hit in found.values())
            for hit in hits:
                start, end = base + behind.down(hit.start - base), base + behind.up(hit.end - base)
                if (start, end) == (hit.start, hit.end) or not taken.touch(start, end):
                    known = found.get((start, hit.match.category))
                    if known is None or known.end < end:
                        longest = replace(hit, start=start, end=end, behind=number == 0)
                        found[start, hit.match.category] = longest
        return list(found.values())

    def _advance(self, until: int, told_from: int, windows: Sequence[Window], behind: Unescaped | None) -> None:
        """Keep what is not decided, what tells that, and so much before it that the edges of words can be seen."""
        place = until - self._base
        drop = min(max(told_from - self._base, 0), *(_context_from(window, place) for window in windows))
        if behind is not None:
            drop = behind.down(drop)
        self._text = self._text[drop:]
        self._base += drop
        if self._strings is not None:
            self._strings.drop(self._base)
        self._start = until - self._base


def _any(scans: Sequence[Scan]) -> bool:
    return any(scan.matches for scan in scans)


def _uncut(hits: Sequence[BoundMatch], until: int) -> int:
    """The last place up to `until` that is within no hit."""
    while inside := [hit.start for hit in hits if hit.start < until < hit.end]:
        until = min(inside)
    return until


def _context_from(window: Window, start: int) -> int:
    """Where the context before `start` begins: CONTEXT characters that are seen, or the whole word where that is
    longer."""
    text = window.text
    word = start - min(len(text[:start]) - len(text[:start].rstrip(VISIBLE)), _LONGEST_WORD)
    first = min(word, start - CONTEXT)
    view = window.plain
    if view.origins is not None:
        first = min(first, view.origin(max(view.index(start) - CONTEXT, 0)))
    return max(first, start - _LONGEST_CONTEXT, 0)
