"""Telephone numbers in a text, which only a table of every country's numbering plan can tell from others."""

import re
from collections.abc import Iterator, Sequence

from gateway.guard.personal import beside, lists, unlike
from gateway.guard.personal.numbering import LONGEST, SHORTEST, digits, is_number, is_possible

NAME = "PHONE"
# Groups of digits that may be one number, or several side by side.
_ROW = re.compile(r"\d+(?:(?:[ ./()-]{1,3}|[ ./()-]{0,3}\+ ?\(?)\d+)*+", re.ASCII)
_DIGITS = re.compile(r"\d+", re.ASCII)
_GROUP = re.compile(r"\d+\)?", re.ASCII)
# What may stand behind one: an extension, and no letter.
_BEHIND = re.compile(r"(?: ?(?:x|ext\.?) ?\d{1,5})?(?![A-Za-z0-9])", re.ASCII)
# What stands before seconds, and before the code of an American post office.
_MINUTES = re.compile(r"(?<![\d:])\d{1,2}:\d\d:\Z")
_STATE = re.compile(r"(?<![A-Za-z])[A-Z]{2}[\s,.*#/]{1,8}\Z")
_POSTAL = re.compile(r"\d{5}-\d{4}")
_EXPONENT = re.compile(r"[eE][+-]?\d")
_LONGEST_WRITTEN, _LONGEST_ROW = 36, 60
# So often is it looked up in the table whether what begins at a place is a number.
_MOST_TRIES = 8
_SEEN = 16
_SHAPE = re.compile(r"\d")
# What stands for a plus before digits: that of a link which dials.
_DIALS = re.compile(r"(?:\bwa\.me/|/send/?\?phone=)\Z", re.ASCII)
_LONGEST_DIAL = 14
_FREE, _HALF, _BOUND = range(3)


class Phones:
    """`regions`: those whose numbers are known without a country code, such as "US"; two letters each."""

    name = NAME

    def __init__(self, regions: Sequence[str]) -> None:
        self._regions = tuple(regions)

    def find(self, text: str, start: int) -> Iterator[tuple[int, int]]:
        """Where one stands from `start` on."""
        for row in _ROW.finditer(text, start):
            if row.end() - row.start() >= SHORTEST:
                yield from _Row(text, start, *row.span(), self._regions).find()


class _Row:
    """A row of groups of digits. A number in it is what is nothing else: all of the row, or all but other numbers, one
    with a plus wherever it stands; and in a short row, beside other digits, what begins as only
    a number does, is held together by dots or dashes, or is in the same groups as another before it."""

    def __init__(self, text: str, start: int, first: int, last: int, regions: tuple[str, ...]) -> None:
        self._text = text
        self._start = start
        self._first = first
        self._last = last
        self._regions = regions
        self._tries = 0

    def find(self) -> Iterator[tuple[int, int]]:
        """From left to right."""
        text, at, before = self._text, self._first, self._start
        while at < self._last:
            start = self._opening(at, before)
            self._tries = _MOST_TRIES
            span = self._number(start, at)
            if span and ("+" in text[slice(*span)] or not lists.is_of_list(text, *span)) and not _is_other(text, *span):
                yield span
            if span:
                before = span[1]
            group = _DIGITS.search(text, span[1] if span else self._after_digits(at), self._last)
            if group is None:
                return
            at = group.start()

    def _after_digits(self, at: int) -> int:
        """After the digits at a place; in a long row, before the next plus."""
        if not self._is_short(at):
            plus = self._text.find("+", at, self._last - _LONGEST_ROW)
            return plus if plus >= 0 else self._last - _LONGEST_ROW
        group = _DIGITS.match(self._text, at)
        return group.end() if group else at + 1

    def _is_short(self, at: int) -> bool:
        return self._last - at <= _LONGEST_ROW

    def _opening(self, at: int, lowest: int) -> int:
        """Where the signs begin that belong to the digits at a place."""
        text, first = self._text, at
        if first > lowest and text[first - 1] == "(" and not text[max(first - 2, 0) : first - 1].isalpha():
            first -= 1
        for plus in ("+", "+ "):
            if first - len(plus) >= lowest and text.endswith(plus, lowest, first):
                return first - len(plus)
        return first

    def _number(self, start: int, at: int) -> tuple[int, int] | None:
        """The longest one whose digits begin there."""
        text = self._text
        dials = start == at and _DIALS.search(text, max(start - _LONGEST_DIAL, 0), start) is not None
        international = dials or "+" in text[start:at]
        edge, short = _edge(text, start), self._is_short(at)
        if not international and (edge is _BOUND or not short):
            return None
        ends = [group.end() for group in _GROUP.finditer(text, at, min(self._last + 1, at + _LONGEST_WRITTEN))]
        unsure: tuple[int, int] | None = None
        for end in reversed(ends):
            first = at if text[start] == "(" and ")" not in text[start : end - 1] else start
            spare = text[end - 1] == ")" and text.count("(", first, end) < text.count(")", first, end)
            whole, last = end >= self._last, end - spare
            behind = _BEHIND.match(text, last) if whole else None
            if not behind and not (international if whole else _is_apart(text, end)):
                continue
            written = text[first:last]
            sure = international or _is_sure(written) or _is_again(text, first, written)
            sure = sure or beside.is_apart(text, first, last)
            if (sure or edge is _FREE) and self._is(f"+{written}" if dials else written):
                if whole or not short or self._are(end):
                    return first, behind.end() if behind and behind[0] else last
                unsure = unsure or ((first, last) if sure else None)
        return unsure or (self._possible(start, at, ends) if "+" in text[start:at] and edge is _FREE else None)

    def _possible(self, start: int, at: int, ends: Sequence[int]) -> tuple[int, int] | None:
        """The longest one that begins there and has a plus, a country's code, and as many digits as that country's."""
        text = self._text
        for end in reversed(ends):
            last = end - (text[end - 1] == ")" and text.count("(", start, end) < text.count(")", start, end))
            apart = end >= self._last or _is_apart(text, end)
            if apart and _BEHIND.match(text, last) and is_possible(text[start:last]):
                return start, last
        return None

    def _are(self, at: int) -> bool:
        """Whether the rest of the row is numbers and nothing else."""
        text, last = self._text, self._last
        group = _DIGITS.search(text, at, last)
        if group is None or not _BEHIND.match(text, last):
            return False
        start = self._opening(group.start(), at)
        ends = [each.end() for each in _GROUP.finditer(text, group.start(), last)]
        for end in reversed(ends):
            written = text[start:end]
            told = "+" in written or _is_sure(written) or _is_again(text, start, written)
            apart = end >= last or _is_apart(text, end)
            if told and apart and self._is(written) and (end >= last or self._are(end)):
                return True
        return False

    def _is(self, written: str) -> bool:
        if len(written) > _LONGEST_WRITTEN or not SHORTEST <= len(digits(written)) <= LONGEST or self._tries <= 0:
            return False
        self._tries -= 1
        return is_number(written, self._regions)


def _edge(text: str, start: int) -> int:
    """What a number that begins there has before it: nothing that it may be a part of, or digits or words that are
    apart from it."""
    if text[start] == "(" and text[max(start - 1, 0) : start].isdigit():
        return _HALF
    two, one = text[max(start - 2, 0) : max(start - 1, 0)], text[max(start - 1, 0) : start]
    if _is_word(one) or one == "+" or (one == ":" and _MINUTES.search(text, max(start - 8, 0), start)):
        return _BOUND
    if not _is_word(two) or one not in ("/", ".", "-", " ", "("):
        return _FREE
    if two.isdigit():
        return _BOUND if one in ".-" else _HALF
    return _FREE if one in " (" else _HALF


def _is_other(text: str, start: int, end: int) -> bool:
    """Whether it is something else by what stands beside it."""
    if _POSTAL.fullmatch(text, start, end):
        return _STATE.search(text, max(start - 12, 0), start) is not None
    return _EXPONENT.match(text, end) is not None or unlike.dump(text, start, end)


def _is_word(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _is_apart(text: str, end: int) -> bool:
    """Whether the digits before and after a place may be of two numbers."""
    return text[end : end + 1] in (" ", "/", "+") or text.startswith("(", end)


def _is_sure(written: str) -> bool:
    """Whether it is told from digits beside it: by how it begins, or by what stands between its groups."""
    if written[0] == "(" or (written[0] == "0" and len(digits(written)) > SHORTEST):
        return True
    return " " not in written and "/" not in written and ("-" in written or "." in written)


def _is_again(text: str, start: int, written: str) -> bool:
    """Whether right before it is another in the same groups, as far as that can be seen."""
    before = text[max(start - _SEEN, 0) : start].rstrip(" /")
    length = min(len(written), _SEEN - 4)
    return len(before) >= length and _SHAPE.sub("0", before[-length:]) == _SHAPE.sub("0", written[-length:])
