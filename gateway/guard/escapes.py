"""Text as it is read behind JSON's escapes, Markdown's, HTML's and those of addresses, and as the ASCII that Unicode's
tags stand for, which nobody sees and models read; and the way back to where each character stood."""

import html
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.guard.markup import LONGEST_REFERENCE, OPEN_REFERENCE, REFERENCE, REFERENCE_FORM
from gateway.guard.normalize import Folded
from gateway.guard.numbers import integers, open_number

_HEX = "[0-9a-fA-F]"
_HIGH, _LOW = rf"\\u[dD][89abAB]{_HEX}{{2}}", rf"\\u[dD][c-fC-F]{_HEX}{{2}}"
# Of addresses: visible signs of ASCII and white space.
_PERCENT = r"%(?:[2-6][0-9a-fA-F]|7[0-9a-eA-E]|0[9aAdD])"
_FIRST_TAG, _TAGS = "\U000e0020", "[\U000e0020-\U000e007e]"
# JSON's, and of Markdown every sign of ASCII.
_FORM = rf"{_HIGH}{_LOW}|\\u{_HEX}{{4}}|\\[bfnrt!-/:-@\[-`{{-~]|{_PERCENT}|{_TAGS}"
# By whether there are references in the text, and whether a quote counts.
_ESCAPES = {
    (False, False): re.compile(_FORM),
    (False, True): re.compile(f'{_FORM}|"'),
    (True, False): re.compile(f"{_FORM}|{REFERENCE_FORM}"),
    (True, True): re.compile(f'{_FORM}|{REFERENCE_FORM}|"'),
}
_PARTIAL = re.compile(
    rf"(?<!\\)(?:\\\\)*(?P<open>\\(?:u{_HEX}{{0,3}})?|{_HIGH}(?:\\(?:u(?:[dD](?:[c-fC-F]{_HEX}?)?)?)?)?)\Z"
)
_ENCODED, _TAG = re.compile(_PERCENT), re.compile(_TAGS)
_OPEN_ENCODED = re.compile(r"%[0-7]?\Z")
# What all tags begin with in UTF-8, where they are found fastest.
_TAG_BYTES = b"\xf3\xa0"
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


def may_escape(text: str, final: bool = True) -> bool:
    """Whether there is an escape in a text, or may begin at the end of one that is not `final`."""
    if "\\" in text or _has_encoded(text) or has_tags(text):
        return True
    if not final and _OPEN_ENCODED.search(text, max(len(text) - 2, 0)):
        return True
    return "&" in text and (REFERENCE.search(text) is not None or not (final or _open_reference(text) == len(text)))


def has_tags(text: str) -> bool:
    """Whether there are Unicode's tags in a text."""
    if text.isascii() or _TAG_BYTES not in text.encode("utf-8", "surrogatepass"):
        return False
    return _TAG.search(text) is not None


def read_tags(text: str) -> str:
    """A text with the ASCII that its tags stand for."""
    return _TAG.sub(lambda tag: _of_tag(tag[0]), text) if has_tags(text) else text


def _of_tag(tag: str) -> str:
    return chr(ord(tag) & 0x7F)


def _has_encoded(text: str) -> bool:
    return "%" in text and _ENCODED.search(text) is not None


def unescape(text: str, final: bool = True, strings: bool = False) -> Unescaped:
    """Linear in the text. Unless it is `final` it is read up to where an escape begins that has not ended. `strings`:
    it is JSON, in which a quote is the edge of a string, and what is beside it not of the same word; and numbers that
    are whole are read without their fractions and exponents."""
    read, spans = _once(text if final else text[: _open_from(text)], strings)
    depth = 1
    while depth < _DEEPEST and any(map(read.text.__contains__, "\\&%")):
        inner, within = _once(read.text if final else read.text[: _open_from(read.text)], strings=False)
        if inner.text == read.text:
            break
        read = _over(read, inner, within, spans)
        depth += 1
    if strings:
        until = len(read.text) if final else open_number(read.text)
        numbers = list(integers(read.text[:until]))
        if numbers or until < len(read.text):
            read = _over(read, *_replaced(read.text[:until], numbers), spans)
    starts: list[int] = []
    ends: list[int] = []
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not ends or start >= ends[-1]:
            starts.append(start)
            ends.append(end)
    return Unescaped(read, starts, ends)


def unescaped(text: str) -> str:
    """What a text says behind its escapes."""
    return unescape(text).read.text if may_escape(text) else text


_Change = tuple[int, int, str]
_Spans = list[tuple[int, int]]


def _once(text: str, strings: bool) -> tuple[Folded, _Spans]:
    """A text behind one layer of escapes, and where these are."""
    references = "&" in text and REFERENCE.search(text) is not None
    if "\\" not in text and not references and not _has_encoded(text) and not has_tags(text):
        return Folded(text.replace('"', _EDGE) if strings else text, None, len(text)), []
    return _replaced(text, _escapes(text, _ESCAPES[references, strings]))


def _replaced(text: str, changes: Iterable[_Change]) -> tuple[Folded, _Spans]:
    pieces: list[str] = []
    origins: list[int] = []
    spans: _Spans = []
    done = 0
    for start, end, instead in changes:
        pieces += (text[done:start], instead)
        origins += range(done, start)
        origins += [start] * len(instead)
        if end > start + 1 or text[start] >= _FIRST_TAG:
            spans.append((start, end))
        done = end
    pieces.append(text[done:])
    origins += range(done, len(text))
    return Folded("".join(pieces), origins, len(text)), spans


def _over(read: Folded, inner: Folded, within: _Spans, spans: _Spans) -> Folded:
    """A reading of a reading. Where things stand in the first is added to `spans` as it is in the original."""
    spans += [(read.origin(start), read.origin(end)) for start, end in within]
    end = read.origin(inner.length)
    return Folded(inner.text, inner.over(read).origins, end)


def _escapes(text: str, form: re.Pattern[str]) -> Iterator[_Change]:
    """Where each is, and the character that it stands for."""
    for match in form.finditer(text):
        written = match[0]
        if written == '"':
            sign = _EDGE
        elif written[0] == "&":
            sign = html.unescape(written)
            if len(sign) != 1:
                continue
        elif written[0] == "%":
            sign = chr(int(written[1:], 16))
        elif written[0] >= _FIRST_TAG:
            sign = _of_tag(written)
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
    reference = _open_reference(text)
    if encoded := _OPEN_ENCODED.search(text, max(len(text) - 2, 0)):
        reference = min(reference, encoded.start())
    if "\\" not in text[-_LONGEST_OPEN:]:
        return reference
    last = max(len(text) - _LONGEST_OPEN, 0)
    found = _PARTIAL.search(text, len(text[:last].rstrip("\\")))
    return min(reference, found.start("open")) if found else reference


def _open_reference(text: str) -> int:
    lowest = max(len(text) - LONGEST_REFERENCE, 0)
    at = text.rfind("&", lowest)
    return at if at >= 0 and OPEN_REFERENCE.fullmatch(text, at) else len(text)
