"""Telephone numbers, which only a table of every country's numbering plan can tell from others: `phonenumbers`."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import phonenumbers

NAME = "PHONE"
# The whole of what looks like one number, since a part of a longer one is none.
_PATTERN = re.compile(
    r"(?<![A-Za-z0-9+])(?<![A-Za-z0-9][./-])(?<!\d[ (])(?:\+ ?)?\(?\d{1,15}\)?(?:[ ./()-]{1,3}\d{1,11}){0,7}"
    r"(?: ?(?:x|ext\.?) ?\d{1,5})?(?![A-Za-z0-9])(?![ ./()-]{0,2}\d)", re.ASCII)  # fmt: skip
_CHINA_MOBILE = re.compile(r"1[3-9]\d{9}")
_DATE = re.compile(r"(?:19|20)\d\d[./ -]\d{1,2}[./ -]\d{1,2}\b|\d{1,2}[./-]\d{1,2}[./-](?:19|20)\d\d\b")
_QUAD = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?")
_EXTENSION = re.compile(r" ?(?:x|ext\.?) ?\d{1,5}\Z")
# What parts one number from the next, where they stand side by side.
_APART = re.compile(r" ?/ ?| {2,3}|\) ?(?=\()")
SHORTEST, LONGEST = 7, 15
_LONGEST_WRITTEN, _LONGEST_PAIR = 36, 60


class Phones:
    """`regions`: those whose numbers are known without a country code, such as "US"; two letters each."""

    name = NAME

    def __init__(self, regions: Sequence[str]) -> None:
        self._regions = tuple(regions)

    def find(self, text: str, start: int) -> Iterator[tuple[int, int]]:
        """Where one stands from `start` on."""
        match = _PATTERN.search(text, start)
        while match:
            found = [*self._spans(match)] if len(match[0]) <= _LONGEST_PAIR else []
            yield from found
            match = _PATTERN.search(text, match.end() if found else match.start() + 1)

    def _spans(self, match: re.Match[str]) -> Iterator[tuple[int, int]]:
        """The number, or those of several side by side."""
        if _is_number(match[0], self._regions):
            yield match.span()
            return
        at = match.start()
        for part in _APART.split(match[0]) if _APART.search(match[0]) else ():
            at = match.string.index(part, at)
            if _is_number(part, self._regions):
                yield at, at + len(part)


@lru_cache(maxsize=4096)
def _is_number(written: str, regions: tuple[str, ...]) -> bool:
    written = _EXTENSION.sub("", written)
    digits = "".join(filter(str.isdigit, written))
    if len(written) > _LONGEST_WRITTEN or not SHORTEST <= len(digits) <= LONGEST:
        return False
    if written.startswith("+"):
        return _valid(written, None) is not None
    if _DATE.match(written) or _QUAD.fullmatch(written):
        return False
    if written == digits:  # as an amount or an order's number might be
        return any(_is_bare(digits, region) for region in regions)
    if digits.startswith("00") and _valid(f"+{written[2:]}", None):
        return True
    return any(_is_written(written, region) for region in regions)


def _is_bare(digits: str, region: str) -> bool:
    """A mobile number of China, or of a country whose numbers begin with the 0 that other numbers seldom have."""
    if region == "CN":
        return _CHINA_MOBILE.fullmatch(digits) is not None
    number = _valid(digits, region) if digits.startswith("0") and not digits.startswith("00") else None
    return number is not None and phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE


def _is_written(written: str, region: str) -> bool:
    """Whether it is one of the region's numbers, in groups as that writes them."""
    if _valid(written, region) is None:
        return False
    found = phonenumbers.PhoneNumberMatcher(written, region, phonenumbers.Leniency.STRICT_GROUPING, max_tries=1)
    return any(match.raw_string == written for match in found)


def _valid(written: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        number = phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None
