"""Passages that say the same, such as what stands on every page: the best of them is ranked, and no other."""

import re
from collections import defaultdict

from services.runtime.language.script import CJK

_WORD = re.compile(rf"[{CJK}]|(?:(?![{CJK}])\w)+")
_DIGIT = re.compile(r"\d")
SHINGLE = 3
# The share of three words in a row that twins have in common: one word in about a hundred is another.
LEAST_SHARED = 0.95


class Twins:
    """The passages of one result so far."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, ...], list[frozenset[int]]] = defaultdict(list)

    def seen(self, text: str) -> bool:
        """Whether a passage before this one said the same, with the same figures; this one is remembered."""
        words = _WORD.findall(text.lower())
        figures = tuple(sorted(word for word in words if _DIGIT.search(word)))
        count = max(1, len(words) - SHINGLE + 1)
        shingles = frozenset(hash(tuple(words[at : at + SHINGLE])) for at in range(count))
        alike = self._seen[figures]
        if any(_are_twins(shingles, other) for other in alike):
            return True
        alike.append(shingles)
        return False


def _are_twins(one: frozenset[int], other: frozenset[int]) -> bool:
    shared = len(one & other)
    return shared >= LEAST_SHARED * (len(one) + len(other) - shared)
