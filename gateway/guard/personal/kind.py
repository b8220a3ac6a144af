"""A kind of personal data: how it is written, and which of what is so written is true."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_SEPARATORS = re.compile(r"[ .()/+-]")


@dataclass(frozen=True, slots=True)
class Kind:
    """`pattern` begins and ends at the edge of a word and matches at most LONGEST characters, all of them of one of the
    scanner's alphabets. `valid` gets the match without separators. `needs`: a character without which there is none.
    `unlike`: what it may be instead, by what it looks like and stands beside: a text, and where it is there.
    """

    name: str
    pattern: re.Pattern[str]
    valid: Callable[[str], bool] = lambda number: True
    needs: str = ""
    unlike: Sequence[Callable[[str, int, int], bool]] = ()

    def find(self, text: str, start: int) -> Iterator[tuple[int, int]]:
        """Where it stands from `start` on. A false one does not hide a true one that begins within it."""
        match = self.pattern.search(text, start)
        while match:
            end = self._true_end(text, match)
            if end:
                yield match.start(), end
            match = self.pattern.search(text, end or match.start() + 1)

    def _true_end(self, text: str, match: re.Match[str]) -> int:
        """Where the longest true one ends that begins here; 0 for none."""
        found: re.Match[str] | None = match
        while found:
            if self.valid(_SEPARATORS.sub("", found[0])) and not any(
                other(text, *found.span()) for other in self.unlike
            ):
                return found.end()
            cut = max(found[0].rfind(" "), found[0].rfind("-"))
            found = self.pattern.match(text, match.start(), match.start() + cut) if cut > 0 else None
        return 0


def written(pattern: str) -> re.Pattern[str]:
    """A pattern between the edges of a word of ASCII letters and digits: what stands beside Chinese is seen too."""
    return re.compile(
        rf"(?<![A-Za-z0-9])(?<![A-Za-z0-9][.+_-])(?:{pattern})(?![A-Za-z0-9])(?![._-][A-Za-z0-9])", re.ASCII
    )
