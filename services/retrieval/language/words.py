"""Words for BM25: Latin words by their stems, CJK by character and character pair, hashed to u32 indices.

The engine multiplies each word by its inverse document frequency; what is here is the rest of BM25.
"""

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator

from services.retrieval.language.script import CJK
from services.retrieval.model import Sparse

K1 = 1.2
B = 0.75
AVERAGE_LENGTH = 256.0
CHARACTER_WEIGHT = 0.3
PAIR_WEIGHT = 1.0

_RUN = re.compile(rf"(?P<cjk>[{CJK}]+)|(?P<word>(?:(?![{CJK}])\w)+)(?:['’](?:s|t|re|ve|ll|d|m)\b)?")
_ABOVE = 230
_STOPWORDS = frozenset(
    "a an the of in on at to for from by with and or is are was were be been did do does has have had it its this that "
    "which what who whom whose when where why how as not".split()
)


def passage_vector(text: str) -> Sparse:
    """How much each word of a passage weighs in it."""
    counts = Counter(term for term, _ in _terms(text))
    length = sum(counts.values())
    rest = K1 * (1 - B + B * length / AVERAGE_LENGTH)
    return _sparse({term: count * (K1 + 1) / (count + rest) for term, count in counts.items()})


def query_vector(text: str) -> Sparse:
    """How much each word of a query counts; empty where it has no word worth looking for."""
    weights: dict[str, float] = {}
    for term, weight in _terms(text):
        weights[term] = weights.get(term, 0.0) + weight
    return _sparse(weights)


def stem(word: str) -> str:
    """Plurals and the commonest English endings off; enough for a question to meet its passage."""
    if len(word) < 4 or not word.isascii():
        return word
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith(("sses", "shes", "ches", "xes", "zes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        root = word[: -len(ending)]
        if word.endswith(ending) and len(root) >= 3 and any(letter in "aeiouy" for letter in root):
            word = root[:-1] if root[-1] == root[-2] and root[-1] not in "lsz" else root
            break
    return word[:-1] if len(word) > 4 and word.endswith("e") else word


def _terms(text: str) -> Iterator[tuple[str, float]]:
    for match in _RUN.finditer(_normal(text)):
        run = match["cjk"]
        if run is None:
            word = match["word"]
            if word not in _STOPWORDS:
                yield stem(word), 1.0
            continue
        for character in run:
            yield character, CHARACTER_WEIGHT
        for first, second in zip(run, run[1:], strict=False):
            yield first + second, PAIR_WEIGHT


def _normal(text: str) -> str:
    """Compatibility forms folded, accents dropped, lower case."""
    text = text.lower()
    if text.isascii():
        return text
    folded = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFC", "".join(c for c in folded if unicodedata.combining(c) != _ABOVE))


def _sparse(weights: dict[str, float]) -> Sparse:
    hashed: dict[int, float] = {}
    for term, weight in weights.items():
        index = zlib.crc32(term.encode())
        hashed[index] = hashed.get(index, 0.0) + weight
    return Sparse(list(hashed), list(hashed.values()))
