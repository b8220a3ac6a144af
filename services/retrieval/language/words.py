"""Words for BM25: Latin words by their stems, CJK by character and character pair, hashed to u32 indices.

The engine multiplies each word by its inverse document frequency; what is here is the rest of BM25. The constants were
measured on XQuAD, English and Chinese. The average length is fixed, so that a passage's vector depends on it alone.
"""

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

from services.retrieval.language.script import CJK, has_cjk
from services.retrieval.model import Sparse

K1 = 0.9
B = 0.5
AVERAGE_LENGTH = 256.0
WORD_AMONG_CJK = 2.0  # a CJK word of two characters counts as three terms, a Latin word or a number as one

_RUN = re.compile(rf"(?P<cjk>[{CJK}]+)|(?:(?![{CJK}])\w)+")
# What a Chinese question asks with; a passage that answers it does not say it.
_CJK_QUESTION = re.compile(
    "为什么|為什麼|什么|什麼|哪一?[个個些种種位年里裡家项項支]?|谁|誰|多少|如何|怎[么麼样樣]*|几[个個种種]?|何时|何時|何地|何种|何種|"
    "是否|吗|嗎|呢|请问|請問"
)
_FRACTION = re.compile(r"(?<=\d)(?=[\u00bc-\u00be\u2150-\u215e])")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_POSSESSIVE = re.compile(r"(?<=\w)['’]s?\b")
_MARKS = re.compile("[\u0300-\u036f]+")
_STOP = """
    a an the of in on at to for from by with and or is are was were be been did do does has have had it its this
    that which what who whom whose when where why how as not
"""
_STOPWORDS = frozenset(_STOP.split())
_ENDINGS = ("ing", "ed")
_VOWELS = frozenset("aeiouy")


def passage_vector(text: str) -> Sparse:
    """How much each word of a passage weighs in it."""
    counts = Counter(_terms(text))
    damping = K1 * (1 - B + B * counts.total() / AVERAGE_LENGTH)
    return _sparse({term: count * (K1 + 1) / (count + damping) for term, count in counts.items()})


def query_vector(text: str) -> Sparse:
    """One for each word of a query; empty where it has no word worth looking for."""
    if not has_cjk(text):
        return _sparse(dict.fromkeys(_terms(text), 1.0))
    terms = dict.fromkeys(_terms(_CJK_QUESTION.sub(" ", text)))
    return _sparse({term: 1.0 if has_cjk(term) else WORD_AMONG_CJK for term in terms})


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Plurals and the commonest English endings off; enough for a question to meet its passage."""
    if len(word) < 4 or not word.isascii() or not word.isalpha():
        return word
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith(("sses", "shes", "ches", "xes", "zes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in _ENDINGS:
        root = word.removesuffix(ending)
        if root != word and len(root) >= 3 and not _VOWELS.isdisjoint(root):
            word = root[:-1] if root[-1] == root[-2] and root[-1] not in "lsz" else root
            break
    return word[:-1] if len(word) > 4 and word.endswith("e") else word


def _terms(text: str) -> list[str]:
    found: list[str] = []
    for match in _RUN.finditer(_normal(text)):
        run = match[0]
        if match["cjk"]:
            found.extend(run)
            found.extend(run[at : at + 2] for at in range(len(run) - 1))
        elif run not in _STOPWORDS:
            found.append(stem(run))
    return found


def _normal(text: str) -> str:
    """Lower case; compatibility forms folded; accents, possessives and the commas of thousands off."""
    text = _THOUSANDS.sub("", _POSSESSIVE.sub("", text.lower()))
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", _MARKS.sub("", unicodedata.normalize("NFKD", _FRACTION.sub(" ", text))))


def _sparse(weights: Mapping[str, float]) -> Sparse:
    """The words by their hash, the same on every machine and in every release."""
    hashed: dict[int, float] = {}
    for term, weight in weights.items():
        index = zlib.crc32(term.encode())
        hashed[index] = hashed.get(index, 0.0) + weight
    return Sparse(list(hashed), list(hashed.values()))
