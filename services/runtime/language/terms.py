"""The terms of a text: word stems, and character n-grams where a script has no spaces.

A word keeps its combining marks (Devanagari's vowels, Thai's tones), but for the accents of Latin, Greek and Cyrillic
letters and the vowel points of Arabic and Hebrew, which writers leave out at will.
"""

import re
import sys
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from services.runtime.language.detect import function_words
from services.runtime.language.script import CJK, UNSPACED, has_cjk

_STOP = """
    a an the of in on at to for from by with and or is are was were be been did do does has have had it its this
    that which what who whom whose when where why how as not
"""
STOPWORDS = frozenset(_STOP.split())


def _ranges(characters: Iterator[int]) -> str:
    """The characters as the inside of a regular expression's class."""
    spans: list[list[int]] = []
    for code in characters:
        if spans and spans[-1][1] == code - 1:
            spans[-1][1] = code
        else:
            spans.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in spans)


_PLANES = range(0x300, 0x20000)  # letters that combine are in the first two planes
_BARE = re.compile(f"[{CJK}{UNSPACED}]")  # without spaces
_MARKS = _ranges(
    code for code in _PLANES if unicodedata.category(chr(code)) in ("Mn", "Mc") and not _BARE.match(chr(code))
)
_LETTER = rf"[^\W{CJK}{UNSPACED}]"
_RUN = re.compile(rf"(?P<cjk>[{CJK}]+)|(?P<unspaced>[{UNSPACED}]+)|{_LETTER}+(?:[{_MARKS}]+{_LETTER}*)*")
# What a Chinese question asks with; a passage that answers it does not say it.
_CJK_QUESTION = re.compile(
    "为什么|為什麼|什么|什麼|哪一?[个個些种種位年里裡家项項支]?|谁|誰|多少|如何|怎[么麼样樣]*|几[个個种種]?|何时|何時|何地|何种|何種|"
    "是否|吗|嗎|呢|请问|請問"
)
_ENDINGS = ("ing", "ed")
_VOWELS = frozenset("aeiouy")
_FRACTION = re.compile(r"(?<=\d)(?=[\u00bc-\u00be\u2150-\u215e])")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_APOSTROPHE = re.compile(r"(?<=\w)['’]s?\b")
_ELISION = re.compile(r"\b(?:[cdjlmnst]|qu|(?:de|a|ne|su)ll|un)['’](?=\w{2})")  # l'eau, dell'acqua
# Vietnamese, whose accents make other words: the letters that no other language has.
_VIETNAMESE = re.compile(r"\w*[\u01a1\u01b0\u1ea0-\u1ef9]\w*")
_NGRAM = 3
"""Characters of a term where a script has no spaces and a character is less than a syllable."""

# Accents; the points of Arabic and Hebrew; tatweel, which only widens; joiners, which only shape.
_DROPPED = dict.fromkeys(
    (*range(0x300, 0x370), *range(0x591, 0x5C8), *range(0x610, 0x61B), *range(0x64B, 0x660), 0x670, 0x640,
     *range(0x6D6, 0x6ED), 0x200C, 0x200D)
)  # fmt: skip
# One letter for those that Arabic's and Persian's writers take for one another.
_ARABIC_LETTERS = str.maketrans("أإآٱىیئؤةک", "اااايييوهك")
_DIGITS = {
    code: str(unicodedata.decimal(chr(code)))
    for code in range(0x80, min(0x20000, sys.maxunicode))
    if unicodedata.category(chr(code)) == "Nd"
}
_FOLDED = _DIGITS | _ARABIC_LETTERS | _DROPPED
_ARABIC_ARTICLE = re.compile("[وفبك]?ال|لل")
_ARABIC = re.compile("[\u0621-\u06d3]")
_ARABIC_ROOT = 3
"""Letters that are left at least where Arabic's article goes."""


def folded(text: str) -> str:
    """Lower case, compatibility forms folded, accents, possessives, elisions and the commas of thousands off."""
    text = _THOUSANDS.sub("", _APOSTROPHE.sub("", _ELISION.sub(" ", text.lower())))
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFKD", _FRACTION.sub(" ", text))
    return unicodedata.normalize("NFC", apart.translate(_FOLDED))


def terms(text: str) -> list[str]:
    """The terms of a passage or a sentence, in order, stop words left out."""
    found: list[str] = []
    for match in _RUN.finditer(folded(text)):
        run = match[0]
        if match["cjk"]:
            found.extend(run)
            found.extend(run[at : at + 2] for at in range(len(run) - 1))
        elif match["unspaced"]:
            found.extend(run[at : at + _NGRAM] for at in range(max(1, len(run) - _NGRAM + 1)))
        elif run not in STOPWORDS and (term := stem(run)):
            found.append(term)
    return found


def accented(text: str) -> list[str]:
    """The words of a text that `terms` makes others of, since their accents matter: those of Vietnamese."""
    return [] if text.isascii() else _VIETNAMESE.findall(unicodedata.normalize("NFC", text.lower()))


def question_terms(text: str) -> list[str]:
    """The terms of a question, each once."""
    plain = _CJK_QUESTION.sub(" ", text) if has_cjk(text) else text
    return list(dict.fromkeys(terms(plain)))


@lru_cache(maxsize=64)
def function_terms(language: str) -> frozenset[str]:
    """The terms of the language's function words."""
    return frozenset(term for word in function_words(language) for term in terms(word))


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Plurals, the commonest endings and Arabic's article off: enough for a question to meet its passage."""
    if len(word) < 4 or not word.isalpha():
        return word
    if not word.isascii():
        return _without_article(word) if _ARABIC.match(word) else word
    root = _without_ending(_singular(word))
    return root[:-1] if len(root) > 4 and root.endswith("e") else root


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _without_ending(word: str) -> str:
    for ending in _ENDINGS:
        root = word.removesuffix(ending)
        if root != word and len(root) >= 3 and not _VOWELS.isdisjoint(root):
            return root[:-1] if root[-1] == root[-2] and root[-1] not in "lsz" else root
    return word


def _without_article(word: str) -> str:
    article = _ARABIC_ARTICLE.match(word)
    return word[article.end() :] if article and len(word) - article.end() >= _ARABIC_ROOT else word
