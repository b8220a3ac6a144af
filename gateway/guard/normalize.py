"""Text with its disguises off, and the way back to where each character stood. Character by character, so that a text
may be folded in pieces."""

import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_ACCENTS = ("\u0300", "\u036f")
_DASHES = frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d")
# Letters of other scripts that nobody tells from a Latin one by looking.
_LOOKALIKES = dict(
    zip(
        "аеорсухіјѕԁһкмтвнӏգοαενρτυικχѡԛ",
        "aeopcyxijsdhkmtbhlgoaevptuikxwq",
        strict=True,
    )
)


@dataclass(slots=True)
class Folded:
    """`text`, and where each of its characters stood; None where each stands where it stood."""

    text: str
    origins: Sequence[int] | None
    length: int

    def origin(self, index: int) -> int:
        """Where the character at `index` stood; the end of the original for the end."""
        if self.origins is None:
            return index
        return self.origins[index] if index < len(self.origins) else self.length

    def end(self, index: int) -> int:
        """Where a stretch that ends at `index`, and is not empty, ended in the original."""
        return index if self.origins is None else self.origins[index - 1] + 1

    def index(self, origin: int) -> int:
        """Which character is the first that stood at `origin` or after."""
        return origin if self.origins is None else bisect_left(self.origins, origin)


class Fold:
    """A folding of single characters to none, one or several."""

    def __init__(self, one: Callable[[str], str], ascii_text: Callable[[str], str]) -> None:
        self._table = _Table(one)
        self._ascii_text = ascii_text

    def fold(self, text: str) -> Folded:
        """Linear in the text's length."""
        if text.isascii():
            return Folded(self._ascii_text(text), None, len(text))
        table = self._table
        folded = "".join(map(table.__getitem__, text))
        if len(folded) == len(text) and table.uneven.isdisjoint(text):
            return Folded(folded, None, len(text))
        origins = [at for at, character in enumerate(text) for _ in table[character]]
        return Folded(folded, origins, len(text))

    def __call__(self, text: str) -> str:
        return self.fold(text).text


class _Table(dict[str, str]):
    """What each character folds to, worked out when first seen. There are no more of them than Unicode has. `uneven`:
    those of them that do not fold to one."""

    def __init__(self, one: Callable[[str], str]) -> None:
        super().__init__()
        self._one = one
        self.uneven: set[str] = set()

    def __missing__(self, character: str) -> str:
        self[character] = folded = self._one(character)
        if len(folded) != 1:
            self.uneven.add(character)
        return folded


def _plain(character: str) -> str:
    if character.isascii():
        return character
    if character in _FILLERS or unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f":
        return ""
    if character in _DASHES:
        return "-"
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(int(digit))
    folded = unicodedata.normalize("NFKC", character)
    return " " if folded.isspace() and character not in "\u2028\u2029\x85" else folded


def _search(character: str) -> str:
    plain = _plain(character).casefold()
    if plain.isascii():
        return plain
    return "".join(_base(each) for each in plain)


def _base(character: str) -> str:
    """A letter without its accents; nothing for an accent that stands by itself."""
    if _ACCENTS[0] <= character <= _ACCENTS[1]:
        return ""
    if character in _LOOKALIKES:
        return _LOOKALIKES[character]
    bare = [part for part in unicodedata.normalize("NFD", character) if not _ACCENTS[0] <= part <= _ACCENTS[1]]
    base = unicodedata.normalize("NFC", "".join(bare))
    return _LOOKALIKES.get(base, base)


PLAIN = Fold(_plain, str)
SEARCH = Fold(_search, str.lower)
