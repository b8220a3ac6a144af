"""A text as a browser reads what is rendered of it: character references decoded, and the tabs and line ends gone that
it drops from addresses in attributes."""

import html
import re
from bisect import bisect_left
from collections.abc import Iterator

from gateway.guard.normalize import Folded

LONGEST_VALUE = 1000
REFERENCE_FORM = r"&(?:#[0-9]{1,7};?|#[xX][0-9A-Fa-f]{1,6};?|[A-Za-z][A-Za-z0-9]{1,31};)"
REFERENCE = re.compile(REFERENCE_FORM)
OPEN_REFERENCE = re.compile(r"&(?:#[0-9]{0,7}|#[xX][0-9A-Fa-f]{0,6}|[A-Za-z][A-Za-z0-9]{0,31})?")
LONGEST_REFERENCE = 34
_OPENING = (
    r"\b(?:href|src|srcset|action|formaction|poster|background|data|ping|cite|content)[ \t\r\n]{0,4}=[ \t\r\n]{0,4}"
)
_ATTRIBUTE = re.compile(rf"{_OPENING}(?:\"([^\"]{{0,{LONGEST_VALUE}}})\"|'([^']{{0,{LONGEST_VALUE}}})')", re.IGNORECASE)
_OPEN = re.compile(
    rf"{_OPENING}(?:\"[^\"]{{0,{LONGEST_VALUE}}}|'[^']{{0,{LONGEST_VALUE}}}|)\Z"
    rf"|(?:\]\( ?|\]: )<[^<>\n]{{0,{LONGEST_VALUE}}}\Z",
    re.IGNORECASE,
)
_BEFORE_VALUE = re.compile(rf"(?:{_OPENING}(?P<quote>[\"'])[ \t\r\n]{{0,4}}|(?:\]\( ?|\]: )<)\Z", re.IGNORECASE)
_DROPPED = re.compile(r"[\t\r\n]+")
_LONGEST_OPENING = 24
_SEPARATORS = frozenset("/\\?# \xa0\u1680\u2028\u2029\u202f\u205f\u3000") | set(map(chr, range(0x2000, 0x200B)))
_NO_SEPARATOR = "\ufffd"


class Rendered:
    """`text`, and where each of its characters stood in the original."""

    def __init__(self, folded: Folded) -> None:
        self._folded = folded
        self._starts: list[int] | None = None
        self._ends: list[int] = []
        self.text = folded.text
        changes = sorted(_changes(folded.text))
        if changes:
            self._apply(folded.text, changes)

    def origin(self, index: int) -> int:
        """Where the character at `index` stood; the end of the original for the end."""
        if self._starts is None:
            return self._folded.origin(index)
        return self._folded.origin(self._starts[index]) if index < len(self._starts) else self._folded.length

    def end(self, index: int) -> int:
        """Where a stretch that ends at `index`, and is not empty, ended in the original."""
        return self._folded.end(index if self._starts is None else self._ends[index - 1])

    def index(self, origin: int) -> int:
        """Which character is the first that stood at `origin` or after."""
        at = self._folded.index(origin)
        return at if self._starts is None else bisect_left(self._starts, at)

    def as_written(self, raw: str) -> str:
        """The text, save that what only looks like a slash, a question mark, a number sign or a space is another sign,
        as it is to a browser. `raw`: what each character of the folded text was."""
        was = raw if self._starts is None else map(raw.__getitem__, self._starts)
        return "".join(
            [
                _NO_SEPARATOR
                if shown in _SEPARATORS and (shown != before or not shown.isascii()) and before != "&"
                else shown
                for shown, before in zip(self.text, was, strict=True)
            ]
        )

    def _apply(self, text: str, changes: list[tuple[int, int, str]]) -> None:
        pieces: list[str] = []
        starts: list[int] = []
        at = 0
        for start, end, instead in changes:
            if start < at:
                continue
            pieces += text[at:start], instead
            starts += range(at, start)
            self._ends += range(at + 1, start + 1)
            starts += [start] * len(instead)
            self._ends += [end] * len(instead)
            at = end
        pieces.append(text[at:])
        self._ends += range(at + 1, len(text) + 1)
        self._starts = [*starts, *range(at, len(text))]
        self.text = "".join(pieces)


def open_attribute(text: str) -> int:
    """Where an attribute begins whose value has not ended, of those that hold an address; or a link of Markdown."""
    lowest = max(len(text) - LONGEST_VALUE - _LONGEST_OPENING, 0)
    tail = text[lowest:]
    if "=" not in tail and "<" not in tail:
        return len(text)
    found = _OPEN.search(text, lowest)
    return found.start() if found else len(text)


def closing(text: str, start: int) -> str:
    """What ends a value that begins there and may hold spaces: a quote, or an angle; empty for another."""
    before = _BEFORE_VALUE.search(text, max(start - _LONGEST_OPENING, 0), start)
    return (before["quote"] or ">") if before else ""


def _changes(text: str) -> Iterator[tuple[int, int, str]]:
    if "&" in text:
        for match in REFERENCE.finditer(text):
            meant = html.unescape(match[0])
            if meant != match[0] and len(meant) == 1:
                yield match.start(), match.end(), "" if meant in "\t\r\n" else meant
    if "=" in text and _DROPPED.search(text):
        for attribute in _ATTRIBUTE.finditer(text):
            start = attribute.start(attribute.lastindex or 0)
            for dropped in _DROPPED.finditer(attribute[attribute.lastindex or 0]):
                yield start + dropped.start(), start + dropped.end(), ""
