"""Text as it is read behind JSON's escapes, and the way back to where each character stood."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.guard.normalize import Folded

_HEX = "[0-9a-fA-F]"
_HIGH, _LOW = rf"\\u[dD][89abAB]{_HEX}{{2}}", rf"\\u[dD][c-fC-F]{_HEX}{{2}}"
_FORM = rf'{_HIGH}{_LOW}|\\u{_HEX}{{4}}|\\["\\/bfnrt]'
_ESCAPE, _ESCAPE_OR_QUOTE = re.compile(_FORM), re.compile(f'{_FORM}|"')
_PARTIAL = re.compile(
    rf"(?<!\\)(?:\\\\)*(?P<open>\\(?:u{_HEX}{{0,3}})?|{_HIGH}(?:\\(?:u(?:[dD](?:[c-fC-F]{_HEX}?)?)?)?)?)\Z"
)
_SIGNS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_EDGE = "\n"
# JSON within the strings of JSON, and once more.
_DEEPEST = 3
_LONGEST_OPEN = 12


@dataclass(frozen=True, slots=True)
class Unescaped:
    """`read`: the text behind its escapes. `starts` and `ends`: those of each escape in the original, in order."""

    read: Folded
    starts: list[int]
    ends: list[int]

    def down(self, index: int) -> int:
        """The place itself, or the start of the escape that it is in."""
        at = bisect_right(self.starts, index) - 1
        return self.starts[at] if at >= 0 and index < self.ends[at] else index

    def up(self, index: int) -> int:
        """The place itself, or the end of the escape that it is in."""
        at = bisect_right(self.starts, index) - 1
        return self.ends[at] if at >= 0 and self.starts[at] < index < self.ends[at] else index


def unescape(text: str, final: bool = True, strings: bool = False) -> Unescaped:
    """Linear in the text. Unless it is `final` it is read up to where an escape begins that has not ended. `strings`:
    a quote is the edge of one, and what is beside it not of the same word."""
    read, spans = _once(text if final else text[: _open_from(text)], strings)
    depth = 1
    while depth < _DEEPEST and "\\" in read.text:
        inner, within = _once(read.text if final else read.text[: _open_from(read.text)], strings=False)
        if inner.text == read.text:
            break
        spans += [(read.origin(start), read.origin(end)) for start, end in within]
        read = Folded(inner.text, inner.over(read).origins, read.origin(inner.length))
        depth += 1
    starts: list[int] = []
    ends: list[int] = []
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not ends or start >= ends[-1]:
            starts.append(start)
            ends.append(end)
    return Unescaped(read, starts, ends)


def unescaped(text: str) -> str:
    """What a text says behind its escapes."""
    return unescape(text).read.text if "\\" in text else text


def _once(text: str, strings: bool) -> tuple[Folded, list[tuple[int, int]]]:
    """A text behind one layer of escapes, and where these are."""
    if "\\" not in text:
        return Folded(text.replace('"', _EDGE) if strings else text, None, len(text)), []
    pieces: list[str] = []
    origins: list[int] = []
    spans: list[tuple[int, int]] = []
    done = 0
    for start, end, sign in _escapes(text, _ESCAPE_OR_QUOTE if strings else _ESCAPE):
        pieces += (text[done:start], sign)
        origins += range(done, start + 1)
        if end > start + 1:
            spans.append((start, end))
        done = end
    pieces.append(text[done:])
    origins += range(done, len(text))
    return Folded("".join(pieces), origins, len(text)), spans


def _escapes(text: str, form: re.Pattern[str]) -> Iterator[tuple[int, int, str]]:
    """Where each is, and the character that it stands for."""
    for match in form.finditer(text):
        written = match[0]
        if written == '"':
            sign = _EDGE
        elif written[1] != "u":
            sign = _SIGNS.get(written[1], written[1])
        else:
            code = int(written[2:6], 16)
            if len(written) > 6:
                code = 0x10000 + ((code & 0x3FF) << 10) + (int(written[8:], 16) & 0x3FF)
            sign = "\ufffd" if 0xD800 <= code < 0xE000 else chr(code)
        yield match.start(), match.end(), sign


def _open_from(text: str) -> int:
    """Where an escape begins that the text ends in."""
    if "\\" not in text[-_LONGEST_OPEN:]:
        return len(text)
    last = max(len(text) - _LONGEST_OPEN, 0)
    found = _PARTIAL.search(text, len(text[:last].rstrip("\\")))
    return found.start("open") if found else len(text)
