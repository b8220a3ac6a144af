"""A text as a browser reads what is rendered of it: character references decoded, and the tabs and line ends gone that
it drops from addresses in attributes."""

import html
import re
from bisect import bisect_left
from collections.abc import Iterator

from gateway.guard.normalize import Folded

LONGEST_VALUE = 1000
_REFERENCE = re.compile(r"&(?:#[0-9]{1,7};?|#[xX][0-9A-Fa-f]{1,6};?|[A-Za-z][A-Za-z0-9]{1,31};)")
_OPENING = (
    r"\b(?:href|src|srcset|action|formaction|poster|background|data|ping|cite|content)[ \t\r\n]{0,4}=[ \t\r\n]{0,4}"
)
_ATTRIBUTE = re.compile(
    rf"{_OPENING}(?:\"([^\"<>]{{0,{LONGEST_VALUE}}})\"|'([^'<>]{{0,{LONGEST_VALUE}}})')", re.IGNORECASE
)
_OPEN = re.compile(rf"{_OPENING}(?:\"[^\"<>]{{0,{LONGEST_VALUE}}}|'[^'<>]{{0,{LONGEST_VALUE}}}|)\Z", re.IGNORECASE)
_DROPPED = re.compile(r"[\t\r\n]+")
_LONGEST_OPENING = 24


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
    """Where an attribute begins whose value has not ended, of those that hold an address."""
    lowest = max(len(text) - LONGEST_VALUE - _LONGEST_OPENING, 0)
    if "=" not in text[lowest:]:
        return len(text)
    found = _OPEN.search(text, lowest)
    return found.start() if found else len(text)


def _changes(text: str) -> Iterator[tuple[int, int, str]]:
    if "&" in text:
        for match in _REFERENCE.finditer(text):
            meant = html.unescape(match[0])
            if meant != match[0] and len(meant) == 1:
                yield match.start(), match.end(), "" if meant in "\t\r\n" else meant
    if "=" in text and _DROPPED.search(text):
        for attribute in _ATTRIBUTE.finditer(text):
            start = attribute.start(attribute.lastindex or 0)
            for dropped in _DROPPED.finditer(attribute[attribute.lastindex or 0]):
                yield start + dropped.start(), start + dropped.end(), ""
