"""Text with its disguises off, and the way back to where each character stood. Character by character, so that a text
may be folded in pieces."""

import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Of no width, though not of the categories of such: fillers, variation selectors, what Unicode says to ignore.
_IGNORED = frozenset(
    map(chr, (
        0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x2065, 0x2800, 0x3164, *range(0xFE00, 0xFE10),
        0xFFA0, *range(0xFFF0, 0xFFF9), *range(0x1BCA0, 0x1BCA4), *range(0x1D173, 0x1D17B), *range(0xE0000, 0xE1000),
    ))
)  # fmt: skip
# Formats, controls, halves of a pair, unassigned noncharacters, and signs around the character before them.
_UNSEEN = frozenset(("Cf", "Cc", "Cs", "Me"))
_SPACES = frozenset("\t\n\v\f\r\x85")
# Controls that are neither seen nor white space to anybody.
_CONTROLS = bytes((*range(0x09), *range(0x0E, 0x20), 0x7F))
_ACCENTS = ("\u0300", "\u036f")
_DASHES = frozenset("\u02d7\u2043\u207b\u208b\u2212\u2796")
_SLASHES = frozenset("\u2044\u2215\u29f8")
# Letters that nobody tells from a Latin one by looking: of other scripts, and small capitals.
_LOOKALIKES = dict(
    zip(
        "аеорсухіјѕԁһкмтвнӏգοαενρτυικχѡԛոսօհցզյɑɡıłøđħᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ",
        "aeopcyxijsdhkmtbhlgoaevptuikxwqnuohgqjagilodhabcdefghijklmnoprstuvwyz",
        strict=True,
    )
)
# Letters in circles and squares, and those of flags; each begins its alphabet.
_FRAMED = (0x1F150, 0x1F170, 0x1F1E6)


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

    def over(self, read: "Folded") -> "Folded":
        """The same, where what was folded is itself the reading of an original."""
        if read.origins is None:
            self.length = read.length
            return self
        places = read.origins
        return Folded(self.text, places if self.origins is None else [places[at] for at in self.origins], read.length)

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
        if text.isascii() and len(text.encode().translate(None, _CONTROLS)) == len(text):
            return Folded(self._ascii_text(text), None, len(text))
        table = self._table
        folded = "".join(map(table.__getitem__, text))
        if len(folded) == len(text) and table.uneven.isdisjoint(text):
            return Folded(folded, None, len(text))
        origins = [at for at, character in enumerate(text) for _ in table[character]]
        return Folded(folded, origins, len(text))

    def aligned(self, text: str) -> str:
        """As long as the folded text: of each of its characters the one that was folded to it."""
        table = self._table
        return "".join([character * len(table[character]) for character in text])

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
    if character in _SPACES or "\x20" <= character <= "\x7e":
        return character
    if _is_unseen(character):
        return ""
    category = unicodedata.category(character)
    if category == "Pd" or character in _DASHES:
        return "-"
    if character in _SLASHES:
        return "/"
    if category[0] == "N" and (digit := _digit(character)):
        return digit
    folded = unicodedata.normalize("NFKC", character)
    return " " if folded.isspace() and character not in "\u2028\u2029" else folded


def _is_unseen(character: str) -> bool:
    """Whether it shows nothing of its own, or only a mark on another that is part of no Latin letter."""
    category = unicodedata.category(character)
    if character in _IGNORED or category in _UNSEEN or (category == "Cn" and ord(character) & 0xFFFE == 0xFFFE):
        return True
    return category == "Mn" and _is_overlay(character)


def _is_overlay(character: str) -> bool:
    """Whether it strikes out or frames what it stands on: a mark for symbols, or a line through or under letters."""
    code = ord(character)
    return 0x20D0 <= code <= 0x20FF or 0xFE20 <= code <= 0xFE2F or code in (0x0305, *range(0x0332, 0x0339))


def _digit(character: str) -> str:
    """The number that one of another script, raised, lowered or framed stands for; empty for those of words."""
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    number = unicodedata.numeric(character, 0.5)
    return str(int(number)) if 0x2776 <= ord(character) <= 0x2793 and number == int(number) else ""


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
    for first in _FRAMED:
        if 0 <= ord(character) - first < 26:
            return chr(ord("a") + ord(character) - first)
    bare = [part for part in unicodedata.normalize("NFD", character) if not _ACCENTS[0] <= part <= _ACCENTS[1]]
    base = unicodedata.normalize("NFC", "".join(bare))
    return _LOOKALIKES.get(base, base)


PLAIN = Fold(_plain, str)
SEARCH = Fold(_search, str.lower)
