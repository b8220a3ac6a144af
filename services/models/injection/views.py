"""What a text says, and what it says once its wrapping is taken off: invisible characters, base64, leet and the like.

Every step is linear in the text's length.
"""

import base64
import binascii
import codecs
import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from urllib.parse import unquote

# No more characters than this are read.
MAX_CHARACTERS = 65_536
# A view is made of so many encoded runs at most.
MAX_RUNS = 32
INVISIBLE = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]")
TAGS = re.compile("[\U000e0020-\U000e007e]{4,}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{20,}={0,2}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}[ :]?){12,}")
_SPACED = re.compile(r"(?:\b\w[ .\-_*|]{1,3}){6,}\w\b")
_LEET_WORD = re.compile(r"\b(?=\w*[a-zA-Z])(?=\w*[013457])[a-zA-Z013457]{3,24}\b")
_LEET = str.maketrans("013457", "oieast")
_WORD = re.compile(r"[a-z]+")
_WORDS = """
    the and you your that all are were given not to of in it is for with what have no any tell as
"""
_COMMON = frozenset(_WORDS.split())
_FEW = 3


def plain(text: str) -> str:
    """The text as a reader sees it: compatibility forms folded, what is invisible left out."""
    return INVISIBLE.sub("", unicodedata.normalize("NFKC", TAGS.sub("", text[:MAX_CHARACTERS])))


def hidden(text: str) -> list[str]:
    """What the text says besides, where it can be decoded; empty for an ordinary one."""
    shown = plain(text)
    found = (view for decode in _DECODERS for view in decode(shown))
    tags = ("".join(chr(ord(one) - 0xE0000) for one in run) for run in TAGS.findall(text[:MAX_CHARACTERS])[:MAX_RUNS])
    return list(dict.fromkeys(view[:MAX_CHARACTERS] for view in (*tags, *found) if view.strip()))


def _runs(pattern: re.Pattern[str], decode: Callable[[str], bytes]) -> Callable[[str], Iterator[str]]:
    def decoded(text: str) -> Iterator[str]:
        for run in pattern.findall(text)[:MAX_RUNS]:
            try:
                words = decode(run).decode("utf-8")
            except (ValueError, binascii.Error):
                continue
            if _readable(words):
                yield words

    return decoded


def _from_base64(run: str) -> bytes:
    body = run.rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(body + "=" * (-len(body) % 4), validate=True)


def _from_hex(run: str) -> bytes:
    return bytes.fromhex(run.replace(":", " "))


def _readable(words: str) -> bool:
    letters = sum(one.isalpha() or one.isspace() for one in words)
    return len(words) >= 8 and words.isprintable() and letters >= 0.7 * len(words)


def _unescaped(text: str) -> Iterator[str]:
    if text.count("%") >= 6 and (unquoted := unquote(text)) != text:
        yield unquoted
    if "&#" in text and (unescaped := html.unescape(text)) != text:
        yield unescaped


def _despaced(text: str) -> Iterator[str]:
    """`i g n o r e  a l l` read together; two spaces part words."""
    runs = _SPACED.findall(text)[:MAX_RUNS]
    if runs:
        yield " ".join(
            re.sub(r"[ .\-_*|](?! )", "", re.sub(r"[ .\-_*|]{2,}", "\n", run)).replace("\n", " ") for run in runs
        )


def _unleet(text: str) -> Iterator[str]:
    if len(_LEET_WORD.findall(text)) >= _FEW:
        yield _LEET_WORD.sub(lambda word: word[0].translate(_LEET), text)


def _turned(text: str) -> Iterator[str]:
    """Read backwards, or by rot13, where that is better English."""
    own = _common(text)
    for view in (text[::-1], codecs.encode(text, "rot13")):
        if _common(view) >= max(_FEW, 2 * own + 1):
            yield view


def _common(text: str) -> int:
    return sum(word in _COMMON for word in _WORD.findall(text.lower()))


_DECODERS = (_runs(_BASE64, _from_base64), _runs(_HEX, _from_hex), _unescaped, _despaced, _unleet, _turned)
