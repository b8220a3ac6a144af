"""An agent's instructions in its answer: so many words of them in a row."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from gateway.guard.detector import Match, Scan, Window
from gateway.guard.normalize import SEARCH
from services.runtime.language.script import CJK, has_cjk

CATEGORY = "SYSTEM_PROMPT"
_LONGEST_WORD = 64
_TOKEN = re.compile(rf"[{CJK}]|(?<![^\W{CJK}])[^\W{CJK}]{{1,{_LONGEST_WORD}}}")
_WORD_WEIGHT = 2
_MOST_TOKENS = 8000
_MOST_SIGNS = 64
REASON = "the answer repeats the agent's instructions"


class Leak:
    """`words`: how many words of the instructions in a row are a leak; two characters of Chinese count as one."""

    def __init__(self, instructions: str, words: int) -> None:
        self._weight = words * _WORD_WEIGHT
        self._known = _known(instructions, words)

    def scan(self, window: Window) -> Scan:
        view = window.search
        if window.final and not self._known.may_be_in(view.text):
            return Scan((), len(window.text))
        start = view.index(window.start)
        words: list[str] = _TOKEN.findall(view.text, start)
        if not self._known.may_leak(words):
            at = None if window.final else self._open_at(words, view.text)
            if at is None:
                return Scan((), len(window.text))
            return Scan((), view.origin(next(islice(_TOKEN.finditer(view.text, start), at, None)).start()))
        return self._search(window, list(_tokens(view.text, start)))

    def _search(self, window: Window, tokens: "Sequence[_Token]") -> Scan:
        """All leaks, from left to right."""
        view = window.search
        complete = len(tokens) if window.final else _complete([token.word for token in tokens], view.text)
        words = [token.word for token in tokens[:complete]]
        matches: list[Match] = []
        at = 0
        while at < len(tokens):
            after = self._after_run(words, at)
            if after is None and not window.final:
                return Scan(matches, view.origin(tokens[at].start))
            if after:
                span = view.origin(tokens[at].start), view.end(tokens[after - 1].end)
                matches.append(Match(*span, CATEGORY, reason=REASON))
            at = after or at + 1
        return Scan(matches, len(window.text))

    def _open_at(self, words: Sequence[str], text: str) -> int | None:
        """The first of the words, of which none begins a leak, that may begin one with what follows; None for none."""
        complete = _complete(words, text)
        at, lowest = complete, max(complete - self._weight + 1, 0)
        while at > lowest and words[at - 1] in self._known.words:
            at -= 1
        known = words[:complete]
        return next((one for one in range(at, len(words)) if self._after_run(known, one) is None), None)

    def _after_run(self, words: Sequence[str], at: int) -> int | None:
        """After which word the leak ends that begins at one; 0 where none does, None where that is still open."""
        state, weight = 0, 0
        for place in range(at, len(words)):
            state, weight = hash((state, words[place])), weight + _weight(words[place])
            if state not in self._known.runs:
                return 0
            if weight >= self._weight:
                return place + 1
        return None


class _Token(NamedTuple):
    start: int
    end: int
    word: str


def _tokens(text: str, start: int) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text, start):
        yield _Token(match.start(), match.end(), match[0])


def _weight(word: str) -> int:
    return 1 if len(word) == 1 and has_cjk(word) else _WORD_WEIGHT


def _complete(words: Sequence[str], text: str) -> int:
    """How many of a text's words cannot become longer ones: all, or all but the last."""
    if not words:
        return 0
    last = words[-1]
    open_ended = text.endswith(last) and len(last) < _LONGEST_WORD and _weight(last) == _WORD_WEIGHT
    return len(words) - open_ended


@dataclass(frozen=True, slots=True)
class _Known:
    """Of the instructions: `runs` are the states after each run of words, up to the weight of a leak; `stretches` all
    runs of `stride` words, of which a leak has one at a place that `stride` divides; `signs` some words, of which each
    leak has one; None where they are too many to look for."""

    runs: frozenset[int]
    words: frozenset[str]
    stretches: frozenset[tuple[str, ...]]
    stride: int
    signs: Sequence[str] | None

    def may_be_in(self, text: str) -> bool:
        """False where no leak is in a text, whose words need not be known for it."""
        return self.signs is None or any(map(text.__contains__, self.signs))

    def may_leak(self, words: Sequence[str]) -> bool:
        """False where no leak is in the words: it is looked at a few of them only."""
        stride, stretches = self.stride, self.stretches
        places = range(0, len(words) - stride + 1, stride)
        return any(tuple(words[at : at + stride]) in stretches for at in places)


@lru_cache(maxsize=64)
def _known(instructions: str, words: int) -> _Known:
    tokens = list(islice(_TOKEN.findall(SEARCH(instructions)), _MOST_TOKENS))
    longest = words * _WORD_WEIGHT
    runs: set[int] = set()
    for at in range(len(tokens)):
        state, weight = 0, 0
        for token in tokens[at : at + longest]:
            state, weight = hash((state, token)), weight + _weight(token)
            runs.add(state)
            if weight >= longest:
                break
    # A leak has as many words at least, so that one of its stretches begins where the stride says.
    stride = (words + 1) // 2
    stretches = {tuple(tokens[at : at + stride]) for at in range(len(tokens) - stride + 1)}
    return _Known(frozenset(runs), frozenset(tokens), frozenset(stretches), stride, _signs(tokens, words))


def _signs(tokens: Sequence[str], words: int) -> Sequence[str] | None:
    """The longest word of each run of so many, as few of them as suffice."""
    signs: dict[str, None] = {}
    first = 0
    while first + words <= len(tokens):
        run = tokens[first : first + words]
        known = [at for at, word in enumerate(run) if word in signs]
        at = known[-1] if known else max(range(words), key=lambda at: (len(run[at]), at))
        signs[run[at]] = None
        first += at + 1
    return tuple(signs) if len(signs) <= _MOST_SIGNS else None
