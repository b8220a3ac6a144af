"""Words for BM25: what a text is indexed by and a query looks for, hashed to u32 indices.

A text has the terms of its words and characters; the beginning of each longer word, by which inflected forms meet; and
its identifiers, whole and by what they begin with. The engine multiplies each by its inverse document frequency; what
is here is the rest of BM25. The constants were measured on XQuAD, in nine languages. The average length is fixed, so
that a passage's vector depends on it alone.
"""

import zlib
from collections.abc import Iterable, Mapping
from functools import lru_cache

from services.retrieval.language.fields import weighted
from services.retrieval.model import Sparse
from services.runtime.language.identifiers import Identifier, identifiers, last_part, leading_parts, parts
from services.runtime.language.script import has_cjk, is_latin, is_unspaced
from services.runtime.language.terms import accented, question_terms, stem, terms

K1 = 0.9
B = 0.5
AVERAGE_LENGTH = 256.0
WORD_AMONG_CJK = 2.0  # a CJK word of two characters counts as three terms, a Latin word or a number as one

# Marks of the terms that are no words. A word never begins or ends with them.
WHOLE = "="
LEADING = "^"
BEGINNING = "*"
ACCENTED = "´"
LATIN_BEGINNING = 5
OTHER_BEGINNING = 4
"""Letters of a word's beginning. Latin words have longer prefixes, and the English ones are stemmed already."""
# What a query's marked terms weigh.
LATIN_BEGINNING_WEIGHT = 0.5
OTHER_BEGINNING_WEIGHT = 1.0
ACCENTED_WEIGHT = 0.5
LEADING_WEIGHT = 0.5


def index_terms(text: str) -> list[str]:
    """All terms that a text is indexed by, each as often as it occurs."""
    words = terms(text)
    found = [*words, *_beginnings(words), *(ACCENTED + word for word in accented(text))]
    for identifier in identifiers(text):
        found += _identifier_terms(identifier)
    return found


def passage_vector(text: str, heads: str = "") -> Sparse:
    """How much each term of a passage weighs in it, and of what stands above it."""
    own = index_terms(text)
    damping = K1 * (1 - B + B * len(own) / AVERAGE_LENGTH)
    counts = weighted(own, index_terms(heads))
    return _sparse({term: count * (K1 + 1) / (count + damping) for term, count in counts.items()})


def query_vector(text: str) -> Sparse:
    """What each term of a query weighs; empty where it has none worth looking for."""
    mixed = has_cjk(text)
    words = question_terms(text)
    weights = {term: WORD_AMONG_CJK if mixed and not has_cjk(term) else 1.0 for term in words}
    for term in _beginnings(words):
        weights[term] = LATIN_BEGINNING_WEIGHT if is_latin(term[0]) else OTHER_BEGINNING_WEIGHT
    weights |= {ACCENTED + word: ACCENTED_WEIGHT for word in accented(text)}
    for identifier in identifiers(text):
        weights |= _looked_for(identifier)
    return _sparse(weights)


def identifier_vector(identifier: Identifier) -> Sparse:
    """What finds the passages that hold the identifier, or one that begins with it, and no others."""
    return _sparse(_looked_for(identifier))


def _looked_for(identifier: Identifier) -> dict[str, float]:
    whole = WHOLE + identifier.key if identifier.joined else identifier.key
    return {whole: 1.0, LEADING + identifier.key: LEADING_WEIGHT}


def _identifier_terms(identifier: Identifier) -> Iterable[str]:
    """What an identifier is found by beside its words: itself, the name at a path's end, what it begins with, and the
    words that underscores join, which no word's border parts."""
    key = identifier.key
    if identifier.joined:
        yield WHOLE + key
        if (name := last_part(key)) != key and not name.isalpha():
            yield WHOLE + name
        if "_" in key:
            yield from (stem(part) for part in parts(key))
    yield from (LEADING + part for part in leading_parts(key))


def _beginnings(words: Iterable[str]) -> list[str]:
    """The beginnings of words that are longer, marked."""
    return [beginning for word in words if len(word) > OTHER_BEGINNING and (beginning := _beginning(word))]


@lru_cache(maxsize=65536)
def _beginning(word: str) -> str:
    length = LATIN_BEGINNING if is_latin(word[0]) else OTHER_BEGINNING
    spaced = not (has_cjk(word[0]) or is_unspaced(word[0]))
    return word[:length] + BEGINNING if spaced and len(word) > length else ""


def _sparse(weights: Mapping[str, float]) -> Sparse:
    """The terms by their hash, the same on every machine and in every release."""
    hashed: dict[int, float] = {}
    for term, weight in weights.items():
        index = zlib.crc32(term.encode())
        hashed[index] = hashed.get(index, 0.0) + weight
    return Sparse(list(hashed), list(hashed.values()))
