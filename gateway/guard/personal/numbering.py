"""What is written as a telephone number, and whether it is one by every country's numbering plan."""

import re
from functools import lru_cache

import phonenumbers

_CHINA_MOBILE = re.compile(r"1[3-9]\d{9}")
_DATE = re.compile(r"(?:19|20)\d\d[./ -]\d{1,2}[./ -]\d{1,2}\b|\d{1,2}[./-]\d{1,2}[./-](?:19|20)\d\d\b")
_QUAD = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?")
# A decimal fraction, one with spaces or beside another number; a range or two numbers of a table; a date beside others;
# clauses of American law; bits.
_FRACTION = re.compile(r"(?:0|[1-9]\d*)\.\d+")
_MIXED = re.compile(r"(?!0\d|[^(]*\()(?=[^.]*\.)[^ ]* .*")
_FROM_ZERO = re.compile(r"0[ -]\d+(?:\.\d+)?|\d+[ -]0{8,}")
_DATED = re.compile(r"(?:.*\D)?(?:19|20)\d\d-(?:0[1-9]|1[0-2])-[0-3]\d(?!\d).*")
_CLAUSE = re.compile(r"\d{3}\.227-7\d{3}")
_BINARY = re.compile(r"[01][01 ]*[01]")
_NO_NUMBERS = (_QUAD, _FRACTION, _MIXED, _FROM_ZERO, _DATED, _CLAUSE, _BINARY)
SHORTEST, LONGEST = 7, 15
# With a plus they are one of a country's lengths, though of no range that is in use.
_FEWEST_INTERNATIONAL, _FEWEST_DIALLED = 10, 12
_SUM = re.compile(r"\+ |\+\d+\.\d+\Z")


def digits(written: str) -> str:
    return "".join(filter(str.isdigit, written))


@lru_cache(maxsize=4096)
def is_number(written: str, regions: tuple[str, ...]) -> bool:
    number = digits(written)
    if written.startswith("+"):
        return _valid(written, None) is not None
    if _DATE.match(written) or any(form.fullmatch(written) for form in _NO_NUMBERS):
        return False
    if written == number:  # as an amount or an order's number might be
        return _is_dialled(number) or any(_is_bare(number, region) for region in regions)
    if number.startswith("00") and _valid(f"+{written[2:]}", None):
        return True
    return any(_is_written(written, region) for region in regions)


@lru_cache(maxsize=4096)
def is_possible(written: str) -> bool:
    """Whether it may be a number of a range that is not known: not in one with a point, as a fraction is, nor behind a
    plus that stands apart, as in a sum."""
    if not _FEWEST_INTERNATIONAL <= len(digits(written)) <= LONGEST or _SUM.match(written):
        return False
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(written))
    except phonenumbers.NumberParseException:
        return False


def _is_dialled(number: str) -> bool:
    """Whether it is dialled from abroad: 00 and a country's code."""
    return number.startswith("00") and len(number) >= _FEWEST_DIALLED and _valid(f"+{number[2:]}", None) is not None


def _is_bare(number: str, region: str) -> bool:
    """A mobile number of China, or of a country whose numbers begin with the 0 that other numbers seldom have."""
    if region == "CN":
        return _CHINA_MOBILE.fullmatch(number) is not None
    found = _valid(number, region) if number.startswith("0") and not number.startswith("00") else None
    return found is not None and phonenumbers.number_type(found) == phonenumbers.PhoneNumberType.MOBILE


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
