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
# Words that a text in each language is full of: of those that the head learned, and of those most like them.
_FREQUENT = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the and of to in is for that with you your are this it on as be or not by from an a all any can will "
        "have if when which has do what how we i my me at was were no but so must should",
        "de": "der die das und ist nicht sie mit von den ein eine für auf zu im dem des es ich du wie wird werden oder",
        "es": "el la los las de que y en un una por con para se es su no del al lo como más si o",
        "fr": "le la les et est de que dans pour vous une un des pas sur au du qui ce en par plus ou si il",
        "it": "il la i le di che e è un una per con non del della si in da sono al come o se",
        "pt": "o a os as de que e em um uma por com para se é não do da no na ao como mais ou",
        "nl": "de het een en van is dat niet in op te met voor zijn er aan door wordt ook als of bij",
    }.items()
}
_FEW_WORDS, _FREQUENT_SHARE = 5, 0.1

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TokenWindow:
    """A stretch of a text. grams: int64, the buckets of its n-grams, each once. signs: float32 [SIGNS], 0 to 1.
    language: ISO 639-1, of those that are told apart; empty for another, "en" where it is too short to tell."""

    text: str
    grams: Indices
    signs: npt.NDArray[np.float32]
    language: str


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
    return TokenWindow(text, _grams(text.lower()), np.array(signs, dtype=np.float32), _language(text, letters))


def _language(text: str, letters: int) -> str:
    if _dense(text):
        return "zh" if len(_KANA.findall(text)) < 0.1 * letters else ""
    words = _WORD.findall(text.lower())
    if sum(map(len, filter(_is_latin, words))) < 0.5 * letters:
        return ""
    if len(words) < _FEW_WORDS:
        return "en"
    shares = {language: sum(word in frequent for word in words) for language, frequent in _FREQUENT.items()}
    best = max(shares, key=lambda language: shares[language])
    return best if shares[best] >= _FREQUENT_SHARE * len(words) else ""


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
