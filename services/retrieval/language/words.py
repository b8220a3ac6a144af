"""Words for BM25: Latin words by their stems, CJK by character and character pair, hashed to u32 indices.

The engine multiplies each word by its inverse document frequency; what is here is the rest of BM25. The constants were
measured on XQuAD, English and Chinese. The average length is fixed, so that a passage's vector depends on it alone.
"""

import zlib
from collections.abc import Mapping

from services.retrieval.language.fields import weighted
from services.retrieval.model import Sparse
from services.runtime.language.script import has_cjk
from services.runtime.language.terms import question_terms, terms

K1 = 0.9
B = 0.5
AVERAGE_LENGTH = 256.0
WORD_AMONG_CJK = 2.0  # a CJK word of two characters counts as three terms, a Latin word or a number as one


def passage_vector(text: str, heads: str = "") -> Sparse:
    """How much each word of a passage weighs in it, and of what stands above it."""
    own = terms(text)
    damping = K1 * (1 - B + B * len(own) / AVERAGE_LENGTH)
    counts = weighted(own, terms(heads))
    return _sparse({term: count * (K1 + 1) / (count + damping) for term, count in counts.items()})


def query_vector(text: str) -> Sparse:
    """One for each word of a query; empty where it has no word worth looking for."""
    mixed = has_cjk(text)
    found = question_terms(text)
    return _sparse({term: WORD_AMONG_CJK if mixed and not has_cjk(term) else 1.0 for term in found})


def _sparse(weights: Mapping[str, float]) -> Sparse:
    """The words by their hash, the same on every machine and in every release."""
    hashed: dict[int, float] = {}
    for term, weight in weights.items():
        index = zlib.crc32(term.encode())
        hashed[index] = hashed.get(index, 0.0) + weight
    return Sparse(list(hashed), list(hashed.values()))
