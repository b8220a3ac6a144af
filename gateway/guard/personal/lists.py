"""Rows of numbers in the groups of a telephone number: pairs that are counted or drawn, ranges, numbers of firms."""

import re

_SEEN = 14
_PAIRS = re.compile(r"\d\d(?:([ ./-])\d\d)(?:\1\d\d){3}", re.ASCII)
_HIGHEST_DRAWN = 50
_PAIR_BEFORE = re.compile(r"(?<!\d)\d\d([ ./-])\d\d\1\Z", re.ASCII)
_PAIR_AFTER = re.compile(r"([ ./-])\d\d(?!\d)(\1\d\d(?!\d))?", re.ASCII)
_RANGE = re.compile(r"(\d{3,5})-(\d{3,5})", re.ASCII)
_SAYS_RANGE = re.compile(
    r"(?:range|between|from|ports?|[ug]ids?|ids|lines|pages|pp\.?|rows|blocks?)[ :]{1,2}\Z", re.IGNORECASE
)
# What firms are registered by.
_SAYS_FIRM = re.compile(
    r"\b(?:siren|siret|rcs(?: [a-z]{1,9})?|abn|acn|nip|regon|krs|cif|nif|bsn|kvk|oib|vat|tva|hrb|ein|duns|imo"
    r"|isbn|issn)"
    r"(?: ?(?:no?|n[°º]|number|nr))?[.:°º]{0,2} {0,2}\Z",
    re.IGNORECASE,
)


def is_of_list(text: str, start: int, end: int) -> bool:
    """Whether what is written as a telephone number is a part of a list or a range, or the number of a firm."""
    return _is_pairs(text, start, end) or _is_range(text, start, end) or _is_firm(text, start)


def _is_pairs(text: str, start: int, end: int) -> bool:
    """Five pairs that rise up to what is drawn in a lottery, are all below ten, or have more pairs beside them."""
    match = _PAIRS.fullmatch(text, start, end)
    if match is None:
        return False
    pairs = [int(each) for each in text[start:end].split(match[1])]
    small = all(each <= _HIGHEST_DRAWN for each in pairs)
    if all(each < 10 for each in pairs) or (small and all(map(int.__lt__, pairs, pairs[1:]))):
        return True
    before = _PAIR_BEFORE.search(text, max(start - _SEEN, 0), start)
    after = _PAIR_AFTER.match(text, end)
    if before and before[1] == match[1] and small:
        return True
    return after is not None and after[1] == match[1] and small


def _is_range(text: str, start: int, end: int) -> bool:
    """From one number to a greater one: with a word that says so, or from or to a round one."""
    match = _RANGE.fullmatch(text, start, end)
    if match is None or len(match[1]) != len(match[2]) or match[1] >= match[2]:
        return False
    if match[1].endswith("00") or match[2].endswith(("00", "99")):
        return True
    return _SAYS_RANGE.search(text, max(start - _SEEN, 0), start) is not None


def _is_firm(text: str, start: int) -> bool:
    return _SAYS_FIRM.search(text, max(start - _SEEN, 0), start) is not None
