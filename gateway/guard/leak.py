"""An agent's instructions in its answer: so many words of them in a row."""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from gateway.guard.detector import Match, Scan, Window
from gateway.guard.fold import SEARCH
from services.runtime.language.script import CJK

CATEGORY = "SYSTEM_PROMPT"
_TOKEN = re.compile(rf"(?P<cjk>[{CJK}])|(?<![^\W{CJK}])(?:(?![{CJK}])\w){{1,64}}")
_WORD_WEIGHT = 2
_LONGEST_WORD = 64
_MOST_TOKENS = 8000
REASON = "the answer repeats the agent's instructions"


class Leak:
    """`words`: how many words of the instructions in a row are a leak; two characters of Chinese count as one."""

    def __init__(self, instructions: str, words: int) -> None:
        self._weight = words * _WORD_WEIGHT
        self._runs = _runs_of(instructions, self._weight)

    def scan(self, window: Window) -> Scan:
        view = window.views.search
        start = view.index(window.start)
        tokens = list(_tokens(view.text, start))
        complete = tokens if window.final or not tokens or _is_complete(tokens[-1], view.text) else tokens[:-1]
        matches: list[Match] = []
        at = 0
        while at < len(tokens):
            after = self._after_run(complete, at)
            if after is None and not window.final:
                return Scan(matches, view.origin(tokens[at].start))
            if after:
                span = view.origin(tokens[at].start), view.end(tokens[after - 1].end)
                matches.append(Match(*span, CATEGORY, reason=REASON))
            at = after or at + 1
        return Scan(matches, len(window.text))

    def _after_run(self, tokens: "list[_Token]", at: int) -> int | None:
        """After which token the leak ends that begins at one; 0 where none does, None where that is still open."""
        state, weight = 0, 0
        for place in range(at, len(tokens)):
            state, weight = hash((state, tokens[place].word)), weight + tokens[place].weight
            if state not in self._runs:
                return 0
            if weight >= self._weight:
                return place + 1
        return None


class _Token(NamedTuple):
    start: int
    end: int
    word: str
    weight: int


def _tokens(text: str, start: int) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text, start):
        yield _Token(match.start(), match.end(), match[0], 1 if match["cjk"] else _WORD_WEIGHT)


def _is_complete(token: _Token, text: str) -> bool:
    """Whether a text's last word cannot become a longer one."""
    return token.end < len(text) or token.weight == 1 or token.end - token.start == _LONGEST_WORD


@lru_cache(maxsize=64)
def _runs_of(instructions: str, longest: int) -> frozenset[int]:
    """The state after each run of the instructions' words, up to the weight of a leak."""
    tokens = list(islice(_tokens(SEARCH(instructions), 0), _MOST_TOKENS))
    runs: set[int] = set()
    for at in range(len(tokens)):
        state, weight = 0, 0
        for token in tokens[at : at + longest]:
            state, weight = hash((state, token.word)), weight + token.weight
            runs.add(state)
            if weight >= longest:
                break
    return frozenset(runs)
