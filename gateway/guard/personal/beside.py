"""Numbers in a row with others, one of which is a telephone number: what tells it from those beside it."""

import re

# What a row is long enough for to be seen on each side, and no longer than what is kept before a window.
_SEEN = 15
# Digits beside a number that are no longer are of something else: a time, a house, a code, an age.
_BEFORE = re.compile(r"(\d+)[)/.,:]?[ /(]{1,3}\Z", re.ASCII)
_AFTER = re.compile(r"[ )/]{1,3}\(?(\d+)", re.ASCII)
_LONGEST = 6
# Longer ones that tell when: a day, a second, those since 1970.
_WHEN = r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[0-2]\d[0-5]\d(?:[0-5]\d)?)?|1[5-9]\d{8}(?:\d{3})?"
_MOMENT = re.compile(_WHEN, re.ASCII)
# Before a number in groups: a date, a time, or one number alone; behind it one number alone.
_MOMENT_BEFORE = re.compile(
    r"\d[-./]\d{1,2}[-./]\d{1,4}[ T]{1,3}\Z|\d:\d\d(?:[.,]\d{1,6})?Z? {1,3}\Z|(?<!\d)(?:" + _WHEN + r") \Z", re.ASCII
)
_ONE_BEFORE = re.compile(rf"(?<![\d.,/()+-])(?<!\d[ ./()-])\d{{1,{_LONGEST}}}[,)]?[ (]{{1,3}}\Z", re.ASCII)
_ONE_AFTER = re.compile(rf"[ )]{{1,3}}\(?\d{{1,{_LONGEST}}}(?!\d)\)?(?![ ./()-]{{0,3}}\d)", re.ASCII)
# An amount is in such groups, save behind a name: that of a street.
_THREES = re.compile(r"\d{3}(?: \d{3})+", re.ASCII)
_HEAD = re.compile(r"(?<!\d)\d{1,3} \Z", re.ASCII)
_TAIL = re.compile(r" \d{3}(?!\d)", re.ASCII)
_NAME_BEFORE = re.compile(r"[A-Z\u00c0-\u00de]\w*\W{1,2}\d{1,4} \Z")


def is_apart(text: str, start: int, end: int) -> bool:
    """Whether a number in a row is not of those beside it: digits alone whose neighbors are short, or groups that have
    one other number or a moment on a side, and nothing else."""
    if text[start:end].isdigit():
        before = _BEFORE.search(text, max(start - _SEEN, 0), start)
        after = _AFTER.match(text, end)
        if before and len(before[1]) > _LONGEST and not _MOMENT.fullmatch(before[1]):
            return False
        return after is None or len(after[1]) <= _LONGEST
    lowest = max(start - _SEEN, 0)
    alone = _is_edge(text, start) or _ONE_BEFORE.search(text, lowest, start)
    moment = not alone and _MOMENT_BEFORE.search(text, lowest, start)
    if not (alone or moment) or not (_ONE_AFTER.match(text, end) or not _AFTER.match(text, end)):
        return False
    return not _is_amount(text, start, end)


def _is_edge(text: str, start: int) -> bool:
    """Whether no other number is before it."""
    return not text[max(start - 3, 0) : start].rstrip(" (/").endswith(tuple("0123456789"))


def _is_amount(text: str, start: int, end: int) -> bool:
    if not _THREES.fullmatch(text, start, end):
        return False
    lowest = max(start - _SEEN, 0)
    headed = _HEAD.search(text, lowest, start) and not _MOMENT_BEFORE.search(text, lowest, start)
    return bool((headed and not _NAME_BEFORE.search(text, lowest, start)) or _TAIL.match(text, end))
