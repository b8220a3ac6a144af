"""Telephone numbers, which only a table of every country's numbering plan can tell from others: `phonenumbers`."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import phonenumbers

NAME = "PHONE"
# The whole of what looks like one number, since a part of a longer one is none.
_PATTERN = re.compile(
    r"(?<![A-Za-z0-9+])(?<![A-Za-z0-9][./-])(?<!\d[ (])(?:\+ ?)?\(?\d{1,15}\)?(?:[ ./()-]{1,3}\d{1,11}){0,5}"
    r"(?![A-Za-z0-9])(?![ ./()-]{0,2}\d)", re.ASCII)  # fmt: skip
_CHINA_MOBILE = re.compile(r"1[3-9]\d{9}")
_DATE = re.compile(r"(?:19|20)\d\d[./ -]\d{1,2}[./ -]\d{1,2}\b|\d{1,2}[./-]\d{1,2}[./-](?:19|20)\d\d\b")
SHORTEST, LONGEST = 7, 15
_LONGEST_WRITTEN = 28


class Phones:
    """`regions`: those whose numbers are known without a country code, such as "US"; two letters each."""

    name = NAME

    def __init__(self, regions: Sequence[str]) -> None:
        self._regions = tuple(regions)

    def find(self, text: str, start: int) -> Iterator[tuple[int, int]]:
        """Where one stands from `start` on."""
        match = _PATTERN.search(text, start)
        while match:
            found = len(match[0]) <= _LONGEST_WRITTEN and _is_number(match[0], self._regions)
            if found:
                yield match.span()
            match = _PATTERN.search(text, match.end() if found else match.start() + 1)


@lru_cache(maxsize=4096)
def _is_number(written: str, regions: tuple[str, ...]) -> bool:
    digits = "".join(filter(str.isdigit, written))
    if not SHORTEST <= len(digits) <= LONGEST or _DATE.match(written):
        return False
    if written.startswith("+"):
        return _valid(written, None)
    if written == digits:  # as an amount or an order's number might be
        return "CN" in regions and _CHINA_MOBILE.fullmatch(digits) is not None
    return any(_valid(written, region) for region in regions)


def _valid(written: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(written, region))
    except phonenumbers.NumberParseException:
        return False
