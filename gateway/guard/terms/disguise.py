"""How words are disguised: digits for letters, and separators between letters."""

import re
from collections.abc import Sequence

from gateway.guard.normalize import Folded
from services.runtime.language.script import CJK, has_cjk

# l, 1 and | are read as i, in terms as well as in texts.
_LETTERS = str.maketrans("4@3105$7|l", "aaeiosstii")
# What stands between the words of a term as a space does.
_SPACES = " \t\n\v\f\r\x85\u2028\u2029-_/\\.+*~^·•"
_READ_AS = _LETTERS | str.maketrans(_SPACES, " " * len(_SPACES))
# Signs of a term for which others may stand.
_PARTS_WORDS = frozenset(" -_/")
_DIGITS = frozenset("0123456789@$|")
_I = frozenset("1|il")
_SEPARATOR = r"[ .*_·•~^+/|\\-]"
_LETTER = rf"[^\W{CJK}]"
# What stands before it is looked at once there is a separator: patterns that begin with it are found much faster.
_BETWEEN_CJK = rf"(?<=[{CJK}]{_SEPARATOR}){_SEPARATOR}?(?=[{CJK}]|\Z)"
_BETWEEN_LETTERS = (
    rf"(?<={_LETTER}{_SEPARATOR})(?<!{_LETTER}{{2}}{_SEPARATOR}){_SEPARATOR}?(?:(?={_LETTER}(?!{_LETTER}))|\Z)"
)
_SPACED = re.compile(rf"{_SEPARATOR}(?:{_BETWEEN_CJK}|{_BETWEEN_LETTERS})")
_RETURN = re.compile(r"\r(?=\n)")
_SPACED_ASCII = re.compile(rf"{_SEPARATOR}(?<=\b\w{_SEPARATOR}){_SEPARATOR}?(?:\w\b|\Z)", re.ASCII)


def read_as(text: str) -> str:
    """The text with digits and signs read as the letters that they look like, and what parts words as spaces; as long
    as it was."""
    return text.translate(_READ_AS)


def is_written(text: str, term: str) -> bool:
    """Whether a text that reads like the term is the term, or the term with digits in place of some of its letters, or
    another sign between its words."""
    if text == term:
        return True
    same = all(one == other or _stands_for(one, other) for one, other in zip(text, term, strict=True))
    return same and not _DIGITS.issuperset(text)


def _stands_for(sign: str, letter: str) -> bool:
    if letter in _PARTS_WORDS:
        return sign in _SPACES
    return sign in _DIGITS and (sign.translate(_LETTERS) == letter or (sign in _I and letter in _I))


def joins(one: str, other: str) -> bool:
    """Whether two characters beside each other are of one word, in a script with spaces between words."""
    return one.isalnum() and other.isalnum() and not has_cjk(one + other)


def drawn_together(folded: Folded) -> Folded | None:
    """The text without the separators between single letters and between Chinese characters, as far as they can be
    seen; None where there are none."""
    text = folded.text
    if text.isascii() and not _SPACED_ASCII.search(text):
        return None
    gaps = [match.span() for match in _SPACED.finditer(text)]
    return _without(folded, gaps) if gaps else None


def with_one_line_end(folded: Folded) -> Folded:
    """The text with a single sign for each end of a line."""
    if "\r\n" not in folded.text:
        return folded
    return _without(folded, [match.span() for match in _RETURN.finditer(folded.text)])


def _without(folded: Folded, gaps: Sequence[tuple[int, int]]) -> Folded:
    text = folded.text
    ends = [0, *(end for _, end in gaps)]
    starts = [*(start for start, _ in gaps), len(text)]
    kept = [at for end, start in zip(ends, starts, strict=True) for at in range(end, start)]
    pieces = [text[end:start] for end, start in zip(ends, starts, strict=True)]
    return Folded("".join(pieces), [folded.origin(at) for at in kept], folded.length)
