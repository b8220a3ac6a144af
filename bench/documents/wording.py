"""Whether a text holds an answer, however it is spaced and punctuated."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

SIGNS = str.maketrans("‘’“”„‐‑–—−", '\'\'"""-----')
IDEOGRAPHS = "\u2e80-\u9fff\uf900-\ufaff"
LETTER = "0-9a-z\u00df-\u024f"
# In an answer, for up to so many characters of whatever kind; NFKC makes it of an ellipsis.
ANYTHING, GAP = "...", 200
_SPACE = re.compile(r"\s+")
_SPACE_BETWEEN_IDEOGRAPHS = re.compile(f"(?<=[{IDEOGRAPHS}]) (?=[{IDEOGRAPHS}])")


def holds(text: str, answers: Iterable[str]) -> bool:
    """Whether one of the answers stands in a text, whatever the case, the kind of quotation marks and dashes, and the
    white space; never as a part of a longer word or number. "…" in an answer stands for anything between its parts."""
    plain = normal(text)
    return any(_pattern(answer).search(plain) for answer in answers)


def normal(text: str) -> str:
    """One spelling of what people read as the same."""
    plain = _SPACE.sub(" ", unicodedata.normalize("NFKC", text).translate(SIGNS).casefold()).strip()
    return _SPACE_BETWEEN_IDEOGRAPHS.sub("", plain)


@lru_cache(maxsize=4096)
def _pattern(answer: str) -> re.Pattern[str]:
    return re.compile(f".{{0,{GAP}}}?".join(map(_whole, normal(answer).split(ANYTHING))))


def _whole(words: str) -> str:
    """As they stand, and not within a longer word or number."""
    plain = words.strip()
    before = f"(?<![{LETTER}])" if re.match(f"[{LETTER}]", plain) else ""
    after = f"(?![{LETTER}])" if re.search(f"[{LETTER}]$", plain) else ""
    if re.match("[0-9]", plain):
        before += "(?<![0-9][.,])"
    if re.search("[0-9]$", plain):
        after += "(?![.,][0-9])"
    return before + re.escape(plain) + after
