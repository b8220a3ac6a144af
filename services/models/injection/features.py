"""What the head sees of a window of text beside its embedding: hashed n-grams, and a few signs of a disguise."""

import re
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import numpy.typing as npt

from services.models.injection.views import INVISIBLE, TAGS, hidden, plain
from services.runtime.language.script import CJK

BUCKETS = 1 << 14
SIGNS = 8
# Characters of a window and from one window to the next, where most letters are worth a part of a word or a whole one.
LATIN_WINDOW, LATIN_STEP = 360, 180
CJK_WINDOW, CJK_STEP = 120, 60
# A sentence shorter than this is no window of its own.
LATIN_SENTENCE, CJK_SENTENCE = 24, 8
# A longer text is read by windows alone.
BY_SENTENCE = 8192
_SENTENCE = re.compile(r"[^.!?\n。！？；;<>]+[.!?。！？；;<>]*")
_TOKEN = re.compile(rf"[{CJK}]|[^\W\d_]+|\d+|[^\w\s]")
_CJK = re.compile(f"[{CJK}]")
_ROLE = re.compile(r"(?im)^\W{0,6}(?:system|assistant|user|ai|agent)\W{0,3}:|<\|im_|\[/?inst\]|<</?sys>>|\"role\"|###")
_READER = re.compile(
    r"(?i)\b(?:ai|llms?|chatbots?|language models?|assistants?|agents?|gpt|bots?|ki|ia|sprachmodelle?|dan)\b"
    "|人工智能|大模型|智能体|助手|机器人"
)
_URL_HOLE = re.compile(r"(?i)https?://\S*[?&]\w*=(?:\W*$|[A-Z_]{3,}|\{|\s)")

_WORD = re.compile(r"[^\W\d_]+")
_KANA = re.compile("[\u3040-\u30ff]")
# Words that a text in a language that the head learned is full of.
_FREQUENT_WORDS = """
    the and of to in is for that with you your are this it on as be or not by from an a all any can will have if when
    which has do what how we i my me at was were no but so must should
    der die das und ist nicht sie mit von den ein eine für auf zu im dem des es ich du wie was
    el la los las de que y en un una por con para se su del al le les et est dans pour vous une des pas sur au qui ce
"""
_FREQUENT = frozenset(_FREQUENT_WORDS.split())
_FEW_WORDS, _FREQUENT_SHARE = 5, 0.1

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TokenWindow:
    """A stretch of a text. grams: int64, the buckets of its n-grams, each once. signs: float32 [SIGNS], 0 to 1.
    familiar: whether it is in a language that the head learned, as far as can be told."""

    text: str
    grams: Indices
    signs: npt.NDArray[np.float32]
    familiar: bool


def windows(text: str) -> list[TokenWindow]:
    """The text's windows, those of what it hides included; empty for an empty text."""
    shown, decoded = plain(text), hidden(text)
    disguised = bool(TAGS.search(text)) or len(INVISIBLE.findall(text)) > 2
    made = [_window(part, False, disguised) for part in _cut(shown)]
    return made + [_window(part, True, disguised) for view in decoded for part in _cut(view)]


def _cut(text: str) -> list[str]:
    text = text.strip()
    if not text:
        return []
    dense = _dense(text)
    size, step = (CJK_WINDOW, CJK_STEP) if dense else (LATIN_WINDOW, LATIN_STEP)
    starts = range(0, max(len(text) - size, 0) + step, step)
    wide = [text[start : start + size] for start in starts if start == 0 or start + size - step < len(text)]
    least = CJK_SENTENCE if dense else LATIN_SENTENCE
    finds = _SENTENCE.finditer(text) if len(text) <= BY_SENTENCE else ()
    sentences = (match[0].strip()[:size] for match in finds)
    return list(dict.fromkeys([*wide, *(one for one in sentences if len(one) >= least)]))


def _dense(text: str) -> bool:
    return len(_CJK.findall(text)) > 0.3 * len(text)


def _window(text: str, decoded: bool, disguised: bool) -> TokenWindow:
    letters = sum(one.isalpha() for one in text) or 1
    signs = (
        decoded,
        disguised,
        bool(_ROLE.search(text)),
        bool(_READER.search(text)),
        bool(_URL_HOLE.search(text)),
        "<!--" in text or "display:none" in text or "hidden" in text,
        sum(one.isupper() for one in text) / letters,
        min(1.0, letters / LATIN_WINDOW),
    )
    return TokenWindow(text, _grams(text.lower()), np.array(signs, dtype=np.float32), _is_familiar(text, letters))


def _is_familiar(text: str, letters: int) -> bool:
    if _dense(text):
        return len(_KANA.findall(text)) < 0.1 * letters
    words = _WORD.findall(text.lower())
    latin = sum(map(len, filter(_is_latin, words)))
    if latin < 0.5 * letters:
        return False
    return len(words) < _FEW_WORDS or sum(word in _FREQUENT for word in words) >= _FREQUENT_SHARE * len(words)


def _is_latin(word: str) -> bool:
    return word[0] < "\u0250"


def _grams(text: str) -> Indices:
    """Words, pairs of them (also around a third) and threes; a CJK character counts as a word."""
    tokens = _TOKEN.findall(text)
    grams = set(tokens)
    for kind, ahead in (("1", 1), ("2", 2)):
        grams.update(f"{kind}{one} {other}" for one, other in zip(tokens, tokens[ahead:], strict=False))
    grams.update("3" + "".join(three) for three in zip(tokens, tokens[1:], tokens[2:], strict=False))
    # The stems of longer words, so that one form of a word tells of the others.
    grams.update(f"4{token[:5]}" for token in tokens if len(token) > 5)
    return np.unique(np.fromiter((crc32(gram.encode()) % BUCKETS for gram in grams), dtype=np.int64, count=len(grams)))
