"""Personal data in a text."""

import re
from collections.abc import Iterator, Sequence
from typing import Protocol

from gateway.guard.detector import Match, Scan, Window
from gateway.guard.personal.grouped import SEPARATORS
from gateway.guard.personal.kinds import KINDS
from gateway.guard.personal.phone import NAME as PHONE
from gateway.guard.personal.phone import Phones

# What all kinds are written with: one word, or groups of capitals and digits with separators between them.
_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_WORD = _UPPER + _UPPER[:26].lower() + "_.+%@-"
_BETWEEN = " ./\\)_|*:·•~-\t\r\n\x85\u2028\u2029"
_GROUPS = _UPPER + _BETWEEN + "(+"
_LETTERS = "".join(map(chr, range(0xC0, 0x530)))
_LONGEST_WORD, _LONGEST_GROUPS = 700, 100
_LONGEST_HOST, _LONGEST_LETTERS = 90, 13
_LOWER = _UPPER[:26].lower()
_OPEN_HOST = re.compile(r"@[\w.-]{0,80}\Z")
# Of an account in small letters, which is in groups of four.
_OPEN_ACCOUNT = re.compile(
    rf"[A-Za-z]{{2,14}}\d\d(?:[{SEPARATORS}]{{1,3}}[A-Za-z0-9]{{4}}){{0,8}}[{SEPARATORS}]{{0,3}}[A-Za-z0-9]{{0,16}}\Z",
    re.ASCII,
)
# Of these all that is found has one.
_MARKS = "0123456789@"
# An extension may follow a telephone number, and two groups of a dump what is none.
_AFTER = 12

CATEGORIES = (*(kind.name for kind in KINDS), PHONE)


class _Kind(Protocol):
    @property
    def name(self) -> str: ...

    def find(self, text: str, start: int) -> Iterator[tuple[int, int]]: ...


class PersonalData:
    """`categories`: of CATEGORIES. `regions`: whose telephone numbers are known without a country code."""

    def __init__(self, categories: Sequence[str], regions: Sequence[str]) -> None:
        self._kinds: list[_Kind] = [kind for kind in KINDS if kind.name in categories]
        if PHONE in categories:
            self._kinds.append(Phones(regions))

    def scan(self, window: Window) -> Scan:
        view = window.plain
        start = view.index(window.start)
        text = view.text
        open_from = len(text) if window.final else max(start, min(_open_word(text), _open_groups(text)))
        found: list[Match] = []
        if any(map(text.__contains__, _MARKS)):
            found = [Match(*span, kind.name) for kind in self._kinds for span in kind.find(text, start)]
        if found and not window.final:
            open_from = min(open_from, *(each.start for each in found if each.end > len(text) - _AFTER), open_from)
        matches = [Match(view.origin(each.start), view.end(each.end), each.category) for each in found]
        return Scan(matches, view.origin(open_from))


def _open_word(text: str) -> int:
    """Where the word begins that the text ends with."""
    lowest = len(text) - _LONGEST_WORD
    if "@" in text[-_LONGEST_HOST:] and (host := _OPEN_HOST.search(text, max(len(text) - _LONGEST_HOST, 0))):
        text = text[: host.start()]
    return max(len(text.rstrip(_WORD if text.isascii() else _WORD + _LETTERS)), lowest)


def _open_groups(text: str) -> int:
    """Where the groups begin that the text ends with, and letters that are attached to them."""
    at = len(text.rstrip(_LOWER))
    if len(text) - at > _LONGEST_LETTERS or not text[at - 1 : at].isdigit():
        at = len(text)
    lowest = max(len(text) - _LONGEST_GROUPS, 0)
    at = max(len(text[:at].rstrip(_GROUPS)), lowest)
    if at == len(text):
        return at
    first = len(text) - len(text[at:].lstrip(_BETWEEN))
    if first == at and (letters := text[lowest:at]):
        first = max(lowest, at - min(len(letters) - len(letters.rstrip(_LOWER)), _LONGEST_LETTERS))
    account = _OPEN_ACCOUNT.search(text, lowest)
    return min(first, account.start()) if account else first
