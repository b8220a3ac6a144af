"""All terms in one Aho-Corasick automaton."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator

import ahocorasick_rs

from gateway.guard.normalize import SEARCH
from gateway.guard.terms.disguise import is_written, joins, read_as

LONGEST = 64
# So many are looked for one by one before the automaton is asked, which is slow where it was long ago that it was.
_FEW = 16
_MOST = 500_000


class TooManyTerms(ValueError):
    """More terms than one automaton takes."""


class Automaton:
    """Immutable. Building takes 0.2 s for 100,000 terms and lets other threads run for most of it."""

    def __init__(self, terms: Iterable[tuple[str, str]]) -> None:
        """Of pairs of a term and its topic. Leaves out terms without a letter or digit, and what is longer than
        LONGEST when folded. Raises TooManyTerms."""
        written: dict[str, dict[str, str]] = {}
        for term, topic in terms:
            plain = SEARCH(term).strip()
            if 0 < len(plain) <= LONGEST and any(map(str.isalnum, plain)):
                written.setdefault(read_as(plain), {}).setdefault(plain, topic)
        if len(written) > _MOST:
            raise TooManyTerms(f"more than {_MOST} terms")
        self._patterns = sorted(written)
        self._written = written
        self._automaton = ahocorasick_rs.AhoCorasick(self._patterns, store_patterns=False)
        self._beginnings = frozenset(pattern[:length] for pattern in self._patterns for length in (1, 2))
        self.longest = max(map(len, self._patterns), default=0)

    def __len__(self) -> int:
        return len(self._patterns)

    def find(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Start, end and topic of all terms in a text that is folded, overlapping ones too."""
        read = read_as(text)
        if len(self._patterns) <= _FEW and not any(map(read.__contains__, self._patterns)):
            return
        for pattern, start, end in self._automaton.find_matches_as_indexes(read, overlapping=True):
            for plain, topic in self._written[self._patterns[pattern]].items():
                if is_written(text[start:end], plain):
                    yield start, end, topic
                    break

    def open_from(self, text: str, start: int, inside: bool) -> int:
        """From where on, at `start` or after, the rest of the text may be the beginning of a term, or is one. `inside`:
        within words too."""
        read = read_as(text[-self.longest :]) if self.longest else ""
        first = len(text) - len(read)
        for at in range(max(start, first), len(text)):
            if read[at - first : at - first + 2] not in self._beginnings:
                continue
            if self._begins(read[at - first :]) and (inside or at == 0 or not joins(text[at - 1], text[at])):
                return at
        return len(text)

    def _begins(self, read: str) -> bool:
        place = bisect_left(self._patterns, read)
        return place < len(self._patterns) and self._patterns[place].startswith(read)
