"""Terms in a text."""

from collections.abc import Iterator, Sequence

from gateway.guard.detector import Match, Scan, Window
from gateway.guard.normalize import Folded
from gateway.guard.terms.automaton import Automaton
from gateway.guard.terms.disguise import drawn_together, joins, with_one_line_end

_SHORTEST_SPACED = 3


class Terms:
    """The longest terms, from left to right. One of letters that are written with spaces between words begins and ends
    at the edge of a word. `disguised`: those drawn out with separators count too."""

    def __init__(self, automaton: Automaton, disguised: bool) -> None:
        self._automaton = automaton
        self._disguised = disguised

    def scan(self, window: Window) -> Scan:
        plain = with_one_line_end(window.search)
        spaced = drawn_together(plain) if self._disguised else None
        found = list(self._find(plain, window, plain))
        if spaced is not None:
            found += [match for match in self._find(spaced, window, plain) if _is_long(match, window)]
        return Scan(_longest(found), len(window.text) if window.final else self._open(plain, spaced, window))

    def _open(self, plain: Folded, spaced: Folded | None, window: Window) -> int:
        """From where on the rest of the text may be the beginning of a term."""
        open_from = self._open_from(plain, window, inside=False)
        return open_from if spaced is None else min(open_from, self._open_from(spaced, window, inside=True))

    def _find(self, folded: Folded, window: Window, plain: Folded) -> Iterator[Match]:
        """What stands in one view of the text, with its edges in the plain one, at its places in the text itself."""
        for start, end, topic in self._automaton.find(folded.text):
            match = Match(folded.origin(start), folded.end(end), topic)
            if match.start < window.start:
                continue
            first, after = (start, end) if folded is plain else (plain.index(match.start), plain.index(match.end))
            if _is_whole(plain.text, first, after):
                yield match

    def _open_from(self, folded: Folded, window: Window, inside: bool) -> int:
        """`inside`: letters beside each other may be those of several words."""
        return folded.origin(self._automaton.open_from(folded.text, folded.index(window.start), inside))


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether a term that needs edges has them."""
    before = start > 0 and joins(text[start - 1], text[start])
    return not before and not (end < len(text) and joins(text[end - 1], text[end]))


def _is_long(match: Match, window: Window) -> bool:
    return sum(map(str.isalnum, window.text[match.start : match.end])) >= _SHORTEST_SPACED


def _longest(found: Sequence[Match]) -> list[Match]:
    """From left to right, the longest of those that begin at one place, none that begins within another."""
    return list(_leftmost(sorted(found, key=lambda match: (match.start, -match.end))))


def _leftmost(ordered: Sequence[Match]) -> Iterator[Match]:
    end = 0
    for match in ordered:
        if match.start >= end:
            yield match
            end = match.end
