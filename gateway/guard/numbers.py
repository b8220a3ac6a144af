"""Numbers as a reader of JSON takes them: 4111111111111111.0 and 4.111111111111111e15 are the whole number that they
are."""

import re
from collections.abc import Iterator

_MOST_DIGITS, _LONGEST = 24, 60
_FLOAT = re.compile(
    rf"(?<![\w.])(?=\d{{1,{_MOST_DIGITS}}}[.eE])(?P<whole>\d+)(?:\.(?P<part>\d{{1,{_MOST_DIGITS}}}))?"
    r"(?:[eE](?P<power>[+-]?\d{1,3}))?(?![\w.])",
    re.ASCII,
)
_NO_DIGITS = ".eE+-"
_SIGNS = "0123456789" + _NO_DIGITS


def integers(text: str) -> Iterator[tuple[int, int, str]]:
    """Where those that are written otherwise stand, and their digits."""
    for match in _FLOAT.finditer(text):
        if digits := _digits(match["whole"], match["part"] or "", int(match["power"] or 0)):
            yield match.start(), match.end(), digits


def open_number(text: str) -> int:
    """Where the number begins that a text ends with, as far as it may be one."""
    at = max(len(text.rstrip(_SIGNS)), len(text) - _LONGEST)
    return len(text) - len(text[at:].lstrip(_NO_DIGITS))


def _digits(whole: str, part: str, power: int) -> str:
    """Empty where the number is no whole one, or none of a length that anything has."""
    digits, places = whole + part, power - len(part)
    if places < 0:
        digits, rest = digits[:places], digits[places:]
        return "" if rest.strip("0") else digits
    return digits + "0" * places if len(digits) + places <= _MOST_DIGITS else ""
