"""How many tokens a text has: the one estimate, and what is believed of an upstream's own count. Pure."""

from collections.abc import Iterable
from typing import Any

CHARACTERS_PER_TOKEN = 4
PER_TEXT = 4
"""Tokens around each text of a prompt: its role and its separators."""
MOST_TOKENS = 1 << 17
"""Of one call: what may be hidden in it, such as thoughts and images, has no more, and no lie empties a budget."""
LONGEST_TOKEN = 16
"""Characters of a token, in the mean of a text: a count by which they had more is not possible."""
LEAST_SHARE = LONGEST_TOKEN // CHARACTERS_PER_TOKEN
"""The same of an estimate, which takes a token for four characters."""
_UNIT = 12


def estimate(text: str) -> int:
    """About how many tokens a text has, rather too many than too few: four letters each, one a CJK character."""
    return -(-_weight(text) // _UNIT)


def estimate_prompt(texts: Iterable[str]) -> int:
    """About how many tokens a prompt of these texts has, tools and the like included among them."""
    return sum(estimate(text) + PER_TEXT for text in texts)


def believed(counted: Any, estimated: int, characters: int | None = None) -> int:
    """A number of tokens as an upstream counts it; the estimate where it gives none, or one that cannot be: not a whole
    number, less than a token for LONGEST_TOKEN characters, or more than MOST_TOKENS and than four times the estimate.

    `characters`: how many the text has, where the estimate counts more than the text.
    """
    if isinstance(counted, bool) or not isinstance(counted, int):
        return estimated
    least = -(-estimated // LEAST_SHARE) if characters is None else -(-characters // LONGEST_TOKEN)
    return counted if least <= counted <= max(MOST_TOKENS, 4 * estimated) else estimated


def _weight(text: str) -> int:
    """Twelfths of a token: three for a letter, four for a byte of a text that is not ASCII."""
    return 3 * len(text) if text.isascii() else 4 * len(text.encode("utf-8", "surrogatepass"))


class TokenTally:
    """The tokens of one answer as it comes.

    Until the upstream reports its usage, and where that cannot be, each piece of text is one token, or as many as the
    estimate has where that is more.
    """

    __slots__ = ("_characters", "_pieces", "_prompt", "_usage", "_weight")

    def __init__(self, prompt: Iterable[str]) -> None:
        """`prompt`: its texts."""
        texts = list(prompt)
        self._prompt = estimate_prompt(texts)
        self._characters = sum(map(len, texts))
        self._pieces = 0
        self._weight = 0
        self._usage: dict[str, Any] | None = None

    def add(self, text: str) -> None:
        """Count a piece of the answer."""
        self._pieces += 1
        self._weight += 3 * len(text) if text.isascii() else _weight(text)

    def report(self, usage: Any) -> None:
        """Take what the upstream reports; the last report counts."""
        if isinstance(usage, dict):
            self._usage = usage

    @property
    def read(self) -> int:
        return believed(self._reported("prompt_tokens"), self._prompt, self._characters)

    @property
    def written(self) -> int:
        """Of the answer so far."""
        return believed(self._reported("completion_tokens"), max(self._pieces, -(-self._weight // _UNIT)))

    @property
    def cached(self) -> int:
        """Of those read."""
        details = self._reported("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, dict) else None
        return min(self.read, believed(cached, 0))

    @property
    def estimated(self) -> bool:
        """Whether the upstream did not report its usage, or not one that can be."""
        reported = (self._reported("prompt_tokens"), self._reported("completion_tokens"))
        return reported != (self.read, self.written)

    def _reported(self, name: str) -> Any:
        return None if self._usage is None else self._usage.get(name)
