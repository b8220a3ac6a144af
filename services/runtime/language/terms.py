"""The terms of a text: word stems, and character n-grams where a script has no spaces."""

import re
import unicodedata
from functools import lru_cache

from services.runtime.language.script import CJK, has_cjk

_STOP = """
    a an the of in on at to for from by with and or is are was were be been did do does has have had it its this
    that which what who whom whose when where why how as not
"""
STOPWORDS = frozenset(_STOP.split())
_RUN = re.compile(rf"(?P<cjk>[{CJK}]+)|(?:(?![{CJK}])\w)+")
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


def terms(text: str) -> list[str]:
    """The terms of a passage or a sentence, in order, stop words left out."""
    found: list[str] = []
    for match in _RUN.finditer(_normal(text)):
        run = match[0]
        if match["cjk"]:
            found.extend(run)
            found.extend(run[at : at + 2] for at in range(len(run) - 1))
        elif run not in STOPWORDS and (term := stem(run)):
            found.append(term)
    return found


def question_terms(text: str) -> list[str]:
    """The terms of a question, each once."""
    plain = _CJK_QUESTION.sub(" ", text) if has_cjk(text) else text
    return list(dict.fromkeys(terms(plain)))


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Plurals and the commonest endings off: enough for a question to meet its passage."""
    if len(word) < 4 or not word.isascii() or not word.isalpha():
        return word
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


def _normal(text: str) -> str:
    """Lower case, compatibility forms folded, accents, possessives and the commas of thousands off."""
    text = _THOUSANDS.sub("", _APOSTROPHE.sub("", text.lower()))
    if text.isascii():
        return text
    folded = unicodedata.normalize("NFKD", _FRACTION.sub(" ", text))
    return unicodedata.normalize("NFC", "".join(mark for mark in folded if not "\u0300" <= mark <= "\u036f"))
