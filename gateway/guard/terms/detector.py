"""Terms in a text."""

from collections.abc import Iterator, Sequence

from gateway.guard.detector import Match, Scan, Window
from gateway.guard.fold import Folded
from gateway.guard.terms.automaton import Automaton
from gateway.guard.terms.disguise import drawn_together
from services.runtime.language.script import has_cjk

_SHORTEST_SPACED = 3


class Terms:
    """The longest terms, from left to right. One of letters that are written with spaces between words begins and ends
    at the edge of a word. `disguised`: those drawn out with separators count too."""

    def __init__(self, automaton: Automaton, disguised: bool) -> None:
        self._automaton = automaton
        self._disguised = disguised

    def scan(self, window: Window) -> Scan:
        folded = window.views.search
        spaced = drawn_together(folded) if self._disguised else None
        found = self._find(folded, window)
        open_from = self._open_from(folded, window)
        if spaced is not None:
            found += [each for each in self._find(spaced, window) if _is_long(each, window)]
            open_from = min(open_from, self._open_from(spaced, window))
        return Scan(_longest(found), len(window.text) if window.final else open_from)

    def _find(self, folded: Folded, window: Window) -> list[Match]:
        """What stands in one view of the text, at its places in the text itself."""
        found = []
        for start, end, topic in self._automaton.find(folded.text):
            match = Match(folded.origin(start), folded.end(end), topic)
            if match.start >= window.start and _is_whole(match, folded.text[start:end], window.views.search):
                found.append(match)
        return found

    def _open_from(self, folded: Folded, window: Window) -> int:
        return folded.origin(self._automaton.open_from(folded.text, folded.index(window.start)))


def _is_whole(match: Match, term: str, text: Folded) -> bool:
    """Whether a term that needs edges has them."""
    start, end = text.index(match.start), text.index(match.end)
    before = start > 0 and _joins(text.text[start - 1], term[0])
    after = end < len(text.text) and _joins(text.text[end], term[-1])
    return not before and not after


def _joins(one: str, other: str) -> bool:
    return one.isalnum() and other.isalnum() and not has_cjk(one) and not has_cjk(other)


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
