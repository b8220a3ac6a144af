"""What numbers with a right check digit are nevertheless: moments, addresses of hosts, accounts of clouds, dumps.

One in ten of the numbers that have nothing to do with people passes a check digit, and of such there are many.
"""

import re

_ROUND = "0000"
_MINUTE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d")
_ADDRESS = re.compile(r"(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}")
_RESOURCE = re.compile(r"(?:[a-z]-\d|:):\Z")
_SAME_FOUR = re.compile(r"(?:(\d)\1{3}){3}")
# Groups of a dump beside a place, one or two.
_GROUPS_BEFORE = re.compile(r"(?<![^\s:])(?:[0-9a-f]{4} )?[0-9a-f]{4} \Z", re.ASCII | re.IGNORECASE)
_GROUPS_AFTER = re.compile(r" [0-9a-f]{4}(?: [0-9a-f]{4})?(?![0-9a-z])", re.ASCII | re.IGNORECASE)
_NO_NUMBER = re.compile(r"0000|(?=[0-9a-f]{0,3}[a-f])[a-f]{0,3}\d[0-9a-f]{0,3}", re.IGNORECASE)
_LONGEST_GROUPS = 11


def moment(text: str, start: int, end: int) -> bool:
    """Whether it is digits that tell when: milliseconds of a full minute, or year to minute."""
    digits = text[start:end]
    return digits.isdigit() and (digits.endswith(_ROUND) or _MINUTE.fullmatch(digits) is not None)


def address(text: str, start: int, end: int) -> bool:
    """Whether it is that of a host."""
    return _ADDRESS.fullmatch(text, start, end) is not None


def dialled(text: str, start: int, end: int) -> bool:
    """Whether it is digits behind a plus, as a telephone number is."""
    return text[start - 1 : start] == "+" and text[start:end].isdigit()


def cloud_account(text: str, start: int, end: int) -> bool:
    """Whether it is the account in a resource's name (`arn:aws:sns:us-east-1:ACCOUNT:x`), or one of those that stand
    for any (444455556666)."""
    if _SAME_FOUR.fullmatch(text, start, end):
        return True
    inside = text[start:end].isdigit() and text.startswith(":", end)
    return inside and _RESOURCE.search(text, max(start - 4, 0), start) is not None


def dump(text: str, start: int, end: int) -> bool:
    """Whether it stands among groups of four hexadecimal digits, of which some are no numbers."""
    if text[start + 4 : start + 5] != " ":
        return False
    before = _GROUPS_BEFORE.search(text, max(start - _LONGEST_GROUPS, 0), start)
    after = _GROUPS_AFTER.match(text, end)
    groups = [group for side in (before, after) if side for group in side[0].split()]
    return len(groups) > 1 and any(map(_NO_NUMBER.fullmatch, groups))
