"""The strings that are values in a JSON, read one behind the other: what is cut over several is whole there."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from gateway.guard.escapes import unescaped
from gateway.guard.json_text import begins_json
from gateway.guard.normalize import Folded

_OUTSIDE = re.compile(r'["{}\[\],:;]')
# An escape that the text ends in goes on in the next piece.
_INSIDE = re.compile(r'(?P<quote>")|(?P<edge>\n;\n)|\\.', re.DOTALL)
_KEYS = "{"
# Over so much that is in no string nothing reaches.
_FARTHEST, _EDGE = 256, "\n;\n"


class JsonStrings:
    """Where in a JSON that comes in pieces the strings are that are values; the names of fields are none. What stands
    between two JSONs is an edge: a line with a semicolon."""

    def __init__(self, start: int = 0) -> None:
        """`start`: where in the whole the first piece begins."""
        self._at = start
        self._gone = 0
        self._inside = self._is_name = self._escape = False
        self._open: list[str] = []
        self._starts: list[int] = []
        self._ends: list[int] = []

    def take(self, text: str) -> None:
        """The next piece."""
        at = 0
        if self._escape and text:
            at, self._escape = 1, False
        begin = 0
        while at < len(text):
            match = (_INSIDE if self._inside else _OUTSIDE).search(text, at)
            if match is None:
                self._escape = self._inside and _ends_in_escape(text, at)
                break
            if not self._inside:
                self._outside(match[0], self._at + match.start())
                begin = match.end()
            elif match.lastgroup is not None:
                self._close(self._at + begin, self._at + match.start())
                if match.lastgroup == "edge":
                    self._edge(self._at + match.start() + 1)
            at = match.end()
        if self._inside:
            self._put(self._at + begin, self._at + len(text))
        self._at += len(text)

    def drop(self, until: int) -> None:
        """Forget what is before a place."""
        gone = bisect_right(self._ends, until)
        del self._starts[:gone], self._ends[:gone]
        self._gone += gone

    def joined(self, read: Folded, base: int, final: bool, between: str = "", edges: int = 2) -> Folded | None:
        """The strings in a text that is `read`, and begins at `base` in the whole, one behind the other, with something
        `between` them; None where nothing new is to be seen in that. `edges`: 0 or 1 where every other joint is one."""
        if len(self._starts) < 2 and (final or not self._ends or (self._inside and self._ends[0] == self._at)):
            return None
        origins: list[int] = []
        pieces: list[str] = []
        last_end = self._ends[0]
        spans = zip([*self._starts, self._at], [*self._ends, self._at], strict=True)
        for number, (start, end) in enumerate(spans, self._gone):
            first, last = read.index(max(start - base, 0)), read.index(max(end - base, 0))
            far = start - last_end > _FARTHEST or (number & 1 == edges and start > last_end)
            if joint := _EDGE if far else between if start > last_end else "":
                pieces.append(joint)
                origins += [max(last_end - base, 0)] * len(joint)
            if piece := read.text[first:last]:
                pieces.append(piece)
                origins += range(first, first + len(piece)) if read.origins is None else read.origins[first:last]
            last_end = end
        return Folded("".join(pieces), origins, read.length)

    def parts(self, start: int, end: int) -> list[tuple[int, int]]:
        """What of a stretch is in strings, for each of them."""
        first, last = bisect_right(self._ends, start), bisect_left(self._starts, end)
        places = zip(self._starts[first:last], self._ends[first:last], strict=True)
        return [(max(start, place[0]), min(end, place[1])) for place in places]

    def _outside(self, sign: str, at: int) -> None:
        if sign == '"':
            self._inside = True
        elif sign in "{[":
            self._open.append(sign)
            self._is_name = sign == _KEYS
        elif sign in "}]":
            del self._open[-1:]
        elif sign == ",":
            self._is_name = self._open[-1:] == [_KEYS]
        elif sign == ":":
            self._is_name = False
        else:
            self._edge(at)

    def _edge(self, at: int) -> None:
        """Nothing reaches over it."""
        self._open, self._is_name = [], False
        self._begin(at - 1, at + 2)

    def _close(self, start: int, end: int) -> None:
        self._put(start, end)
        self._inside = False

    def _put(self, start: int, end: int) -> None:
        if not self._is_name:
            self._begin(start, end)

    def _begin(self, start: int, end: int) -> None:
        """Add a stretch, or go on with the last one where that came in another piece."""
        if self._ends and self._ends[-1] == start and start == self._at:
            self._ends[-1] = end
        elif start < end:
            self._starts.append(start)
            self._ends.append(end)


def strings_of(text: str) -> Sequence[str]:
    """The strings that are values in a JSON, behind their escapes; none of what is none."""
    if not begins_json(text):
        return ()
    strings = JsonStrings()
    strings.take(text)
    return [unescaped(text[start:end]) for start, end in strings.parts(0, len(text))]


def _ends_in_escape(text: str, at: int) -> bool:
    rest = text[at:]
    return (len(rest) - len(rest.rstrip("\\"))) % 2 == 1
