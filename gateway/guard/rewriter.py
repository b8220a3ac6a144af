"""A text that is written anew as it comes, with something else in place of what was found in it."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from gateway.guard.bound import BoundMatch
from gateway.guard.edits import Edits
from gateway.guard.escapes import unescaped
from gateway.guard.finding import Finding
from gateway.guard.json_text import JsonText

_SEEN = re.compile(r"\S")


class _Place(NamedTuple):
    """What is replaced because of a hit: the match, or the value of JSON that it is in."""

    start: int
    end: int
    hit: BoundMatch


class Rewriter:
    """Holds what has come until it is sure what becomes of it, from `_at` on.

    `until`: up to where that is so; `over`: a block has
    ended the text. What is JSON stays JSON."""

    def __init__(self) -> None:
        self._edits = Edits()
        self._held = ""
        self._at = 0
        self._due: list[BoundMatch] = []
        self._json: JsonText | None = None
        self.until = 0
        self.over = False

    def shift(self, original_index: int) -> int:
        """Where a place of the original is in what was written; within what was replaced, the end of what stands there
        instead."""
        return self._edits.shift(original_index)

    def take(self, text: str) -> None:
        """The next piece of the original."""
        self._held, self._at = self._held[self._at :] + text, 0

    def write(
        self, hits: Sequence[BoundMatch], until: int, json: bool, final: bool, findings: list[Finding]
    ) -> tuple[str, Finding | None]:
        """What becomes of the text up to `until`, or not quite where that is within a value of JSON; and what has ended
        it there. What is found in it goes to `findings`."""
        if json and self._json is None:
            self._json = JsonText()
        if self._json is not None:
            places, until = self._whole_values(self._json, hits, until, final)
        elif hits:
            places = [_Place(hit.start, hit.end, hit) for hit in hits]
        else:
            return self._copy(until), None
        pieces: list[str] = []
        for together in _overlapping(places):
            pieces.append(self._copy(together[0].start))
            hits = [place.hit for place in together]
            findings += [hit.finding for hit in hits if hit.armed.tells]
            blocking = next((hit for hit in hits if hit.blocks), None)
            if blocking:
                self.over, self._held, self._at = True, "", 0
                return "".join(pieces), blocking.finding
            pieces.append(self._replace(hits, max(place.end for place in together)))
        pieces.append(self._copy(until))
        return "".join(pieces), None

    def _copy(self, until: int) -> str:
        text = self._let_go(until)
        return text if self._json is None else self._json.copy(text)

    def _let_go(self, until: int) -> str:
        width = until - self.until
        text = self._held[self._at : self._at + width]
        self._at += width
        self.until = until
        return text

    def _replace(self, hits: Sequence[BoundMatch], end: int) -> str:
        """What stands in place of hits that overlap: what the longest says, a guard's before a placeholder's."""
        start = self.until
        hit = max(hits, key=lambda each: (each.armed.tells, each.end - each.start, -each.start))
        text = self._let_go(end)
        said = hit.match.replacement
        if said is None:
            found = text[hits[0].start - start : max(each.end for each in hits) - start]
            said = hit.armed.redact(hit.match, unescaped(found) if hit.behind else found)
        if self._json is not None:
            following = _SEEN.search(self._held, self._at)
            said = self._json.replace(text, said, following[0] if following is not None else "")
        self._edits.add(start, end, len(said))
        return said

    def _whole_values(
        self, json: JsonText, hits: Sequence[BoundMatch], until: int, final: bool
    ) -> tuple[list[_Place], int]:
        """What is due, and up to where: a value with a hit in it is replaced as a whole, once all of it is there."""
        self._due += hits
        if final and not self._due:
            return [], until
        held = self._held[self._at :]
        first, last = self.until, self.until + len(held)
        values = [(first + start, first + end) for start, end in json.values(held, final)]
        places = [_widened(hit, values) for hit in self._due]
        if not final:
            cuts = [*values, *((place.start, place.end) for place in places)]
            if values and values[-1][1] == last:
                cuts.append((values[-1][0], last + 1))  # it may go on
            while inside := [start for start, end in cuts if start < until < end]:
                until = min(inside)
        self._due = [place.hit for place in places if place.end > until]
        return [place for place in places if place.end <= until], until


def _widened(hit: BoundMatch, values: Sequence[tuple[int, int]]) -> _Place:
    """All of the values that a hit is in, or ends in."""
    start, end = hit.start, hit.end
    for place in (hit.start, hit.end - 1):
        at = bisect_right(values, (place, float("inf"))) - 1
        if at >= 0 and place < values[at][1]:
            start, end = min(start, values[at][0]), max(end, values[at][1])
    return _Place(start, end, hit)


def _overlapping(places: Sequence[_Place]) -> list[list[_Place]]:
    """In order, those together that overlap."""
    groups: list[list[_Place]] = []
    end = -1
    for place in sorted(places, key=lambda each: (each.start, each.hit.start)):
        if place.start < end:
            groups[-1].append(place)
        else:
            groups.append([place])
        end = max(end, place.end)
    return groups
