"""Patterns of an operator's own, in RE2, which takes linear time whatever the pattern."""

import re
from collections.abc import Iterator, Mapping

import re2

from gateway.guard.detector import Match, Scan, Window

LONGEST_WORD = 256
LONGEST_PATTERN = 512
_MEMORY = 1 << 20
_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
_WORD = re.compile(rf"[!-~]{{1,{LONGEST_WORD}}}")
_ANCHORS = ("^", "$", r"\A", r"\z")


class BadPattern(ValueError):
    """The pattern is not one of RE2's, or too long."""


class Pattern:
    """A compiled pattern. Raises BadPattern."""

    def __init__(self, category: str, pattern: str) -> None:
        if not pattern.isascii() or len(pattern) > LONGEST_PATTERN:
            raise BadPattern(f"a pattern is ASCII, of at most {LONGEST_PATTERN} characters")
        options = re2.Options()
        options.max_mem = _MEMORY
        options.log_errors = False
        try:
            self._compiled = re2.compile(pattern.encode(), options)
        except re2.error as error:
            raise BadPattern(f"{pattern!r} is not a pattern of RE2's: {error}") from error
        self._category = category
        self._anchored = any(anchor in pattern for anchor in _ANCHORS)

    def may_be_in(self, text: bytes) -> bool:
        """False where no word of the text can match."""
        return self._anchored or self._compiled.search(text) is not None

    def matches(self, word: bytes, at: int) -> Iterator[Match]:
        """What matches in a word that begins at `at`, leaving out empty matches."""
        for each in self._compiled.finditer(word):
            start, end = each.span()
            if end > start:
                yield Match(at + start, at + end, self._category)


class Custom:
    """Patterns by category, each matched within words: runs of visible ASCII characters. A run longer than
    LONGEST_WORD is so many words. Raises BadPattern."""

    def __init__(self, patterns: Mapping[str, str]) -> None:
        self._patterns = [Pattern(category, pattern) for category, pattern in patterns.items()]

    def scan(self, window: Window) -> Scan:
        view = window.plain
        text, start = view.text, view.index(window.start)
        word = len(text.rstrip(_VISIBLE))
        last = word + (len(text) - word) // LONGEST_WORD * LONGEST_WORD
        open_from = len(text) if window.final else max(start, last)
        found = [match for match in self._find(text, start) if match.start >= start]
        matches = [Match(view.origin(each.start), view.end(each.end), each.category) for each in found]
        return Scan(matches, view.origin(open_from))

    def _find(self, text: str, start: int) -> Iterator[Match]:
        encoded = text.translate(_NotAscii()).encode() if not text.isascii() else text.encode()
        wanted = [pattern for pattern in self._patterns if pattern.may_be_in(encoded)]
        if wanted:
            first = len(text[:start].rstrip(_VISIBLE))
            for word in _WORD.finditer(text, first):
                for pattern in wanted:
                    yield from pattern.matches(word[0].encode(), word.start())


class _NotAscii(dict[int, str]):
    """A space for every character that is not ASCII."""

    def __missing__(self, code: int) -> str:
        return chr(code) if code < 0x80 else " "
