"""Which script a text is written in."""

import re
from enum import Enum

# Han, kana and their marks, hangul: scripts written without reliable spaces between words.
CJK = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\U00020000-\U0003ffff"
# Thai, Lao, Burmese, Khmer: alphabets of scripts written without spaces between words.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\ua9e0-\ua9ff\uaa60-\uaa7f"
_CJK = re.compile(f"[{CJK}]")
_UNSPACED = re.compile(f"[{UNSPACED}]")
_CJK_SHARE = 0.3
_LATIN_SHARE = 0.5


class Script(Enum):
    """The scripts that are told apart; the value is the word used outside."""

    LATIN = "latin"
    CJK = "cjk"
    OTHER = "other"


def script_of(text: str) -> Script:
    """The script of most letters; a good part of CJK makes it CJK, since a character there is worth a word.

    A text without letters, such as a number, counts as Latin.
    """
    if text.isascii():
        return Script.LATIN
    letters = [character for character in text if character.isalpha()]
    if not letters:
        return Script.LATIN
    cjk = sum(1 for character in letters if _CJK.match(character))
    if cjk >= _CJK_SHARE * len(letters):
        return Script.CJK
    latin = sum(1 for character in letters if is_latin(character))
    return Script.LATIN if latin >= _LATIN_SHARE * len(letters) else Script.OTHER


def latin_share(text: str) -> float:
    """0 to 1, which part of the letters is Latin: how far an English embedder can be trusted with the text.

    A text without letters has 1.
    """
    if text.isascii():
        return 1.0
    letters = [character for character in text if character.isalpha()]
    return sum(1 for character in letters if is_latin(character)) / len(letters) if letters else 1.0


def has_cjk(text: str) -> bool:
    """Whether any character is CJK."""
    return _CJK.search(text) is not None


def is_unspaced(character: str) -> bool:
    """Whether it is of an alphabet that is written without spaces between words."""
    return _UNSPACED.match(character) is not None


def is_latin(character: str) -> bool:
    """Whether it is a Latin letter, or a sign of ASCII."""
    return character < "\u0250" or "\u1e00" <= character <= "\u1eff"
