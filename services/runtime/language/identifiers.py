"""Identifiers in a text: what names one thing exactly, such as WF-M5799, v1.2.3-rc.4, ERR_CONN_RESET or --no-color.

They are told from words and plain numbers by their form alone: letters mixed with digits, or parts joined by signs
that words are not joined by. A key is an identifier as it is compared: in lower case, one kind of dash, without the
slash before a path and the v before a version. An option keeps its dashes, which tell it from a word.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 128
"""Characters of an identifier at most; what is longer is data, not a name."""
OPTION = "--"
_AROUND = ".,;:!?()[]\"'“”‘’"

_TOKEN = re.compile(
    r"""(?<![a-z0-9_])
    (?P<before>--|(?:~|\.{1,2})?/)?
    (?:(?<=--)|(?=[a-z]*[-_./:+@\\0-9]))               # plain words are none
    (?P<key>[a-z0-9]+(?:(?:::|_+|[-./:+@\\])[a-z0-9]+)*)""",
    re.VERBOSE,
)
_DASHES = str.maketrans("\u2010\u2011\u2012\u2013\u2212", "-----")
_JOINTS = re.compile(r"::|_+|[-./:+@\\]")
_QUANTITY = re.compile(r"\d+(?:[.,:/]\d+)?(?:[a-z]{1,3})?")  # 20th, 1990s, 5km, 3.5gb, 10:30, 2/3
_COUNTED = re.compile(r"\d+(?:st|nd|rd|th|s)?(?:-[a-z]{3,})+")  # 19-year-old, 16th-century
_YEARS = re.compile(r"[12]\d{3}[-/]\d{2,4}")
_ONLY_DIGITS = re.compile(r"\d[\d./:+-]*")
_VERSION = re.compile(r"v(?=\d+\.)")
_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[^a-z0-9])|(?<=[a-z])(?=\d)|(?<=\d)(?=[a-z])")
_LEAST_DIGITS = 7  # of a number that names something
_SPECIFIC_DIGITS = 3
_LEAST_LEADING = 3


@dataclass(frozen=True, slots=True)
class Identifier:
    """`specific`: it names one thing, as a part number does, and not a kind of things, as MP3 or UTF-8 do."""

    key: str
    specific: bool

    @property
    def joined(self) -> bool:
        """It has several parts, or dashes before it; any other is also a word."""
        return _JOINTS.search(self.key) is not None


def identifiers(text: str) -> list[Identifier]:
    """The identifiers of a text in order, each as often as it occurs."""
    found: list[Identifier] = []
    for match in _tokens(_normal(text)):
        before, key = match["before"] or "", _VERSION.sub("", match["key"], count=1)
        if len(key) > LONGEST:
            continue
        if before == OPTION:
            found.append(Identifier(OPTION + match["key"], specific=True))
        elif _is_identifier(key, before, versioned=key != match["key"]):
            found.append(Identifier(key, _is_specific(key, before)))
    return found


def _tokens(text: str) -> Iterator[re.Match[str]]:
    """What may be an identifier. Most of a text is plain words, which cost no search."""
    for word in text.split():
        if not word.strip(_AROUND).isalpha():
            yield from _TOKEN.finditer(word)


def leading_parts(key: str) -> list[str]:
    """What an identifier begins with, up to each end of a part: wf-m and wf-m5799 for wf-m5799dwf."""
    ends = [match.start() for match in _BOUNDARY.finditer(key)]
    return [key[:end] for end in ends if end >= _LEAST_LEADING]


def parts(key: str) -> list[str]:
    """The words and numbers that an identifier is joined of."""
    return [part for part in _JOINTS.split(key) if part]


def last_part(key: str) -> str:
    """The name at the end of a path; the key where it is none."""
    return re.split(r"[/\\]", key)[-1]


def _normal(text: str) -> str:
    return (text if text.isascii() else unicodedata.normalize("NFKC", text).translate(_DASHES)).lower()


def _is_identifier(key: str, before: str, versioned: bool) -> bool:
    joints = _JOINTS.findall(key)
    if not joints:
        return (_mixed(key) and not _QUANTITY.fullmatch(key)) or (key.isdigit() and len(key) >= _LEAST_DIGITS)
    if _ONLY_DIGITS.fullmatch(key):
        digits = sum(character.isdigit() for character in key)
        return versioned or len(joints) > 1 or (digits >= _LEAST_DIGITS and not _YEARS.fullmatch(key))
    if _QUANTITY.fullmatch(key) or _COUNTED.fullmatch(key):
        return False
    if any(joint[0] in "_@\\" or joint == "::" for joint in joints):
        return True
    if before or joints.count("/") > 1:
        return True
    if "." in joints:
        return all(len(part) > 1 or part.isdigit() for part in parts(key))
    return any(character.isdigit() for character in key)


def _is_specific(key: str, before: str) -> bool:
    digits = sum(character.isdigit() for character in key)
    joined = any(joint != "-" for joint in _JOINTS.findall(key))
    return bool(before) or digits >= _SPECIFIC_DIGITS or joined or key.startswith("0x")


def _mixed(key: str) -> bool:
    return not key.isalpha() and not key.isdigit()
