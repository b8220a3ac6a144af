"""How many tokens a text has: the one estimate, and what is believed of an upstream's own count. Pure."""

from collections.abc import Iterable
from typing import Any, TypeGuard

CHARACTERS_PER_TOKEN = 4
PER_TEXT = 4
"""Tokens around each text of a prompt: its role and its separators."""
MOST_TOKENS = 1 << 20
"""The longest context that is expected of a model of which the catalogue says none."""
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


def believed(counted: Any, estimated: int, characters: int | None = None, context_length: int = 0) -> int:
    """A number of tokens as an upstream counts it, as far as it can be.

    The estimate where it gives none, or fewer than a token for LONGEST_TOKEN characters. Of one over the model's
    context, or MOST_TOKENS where that is not known, so much of it as can be: a report is never the cheaper for being
    too large. Four times the estimate can be in any case.

    `characters`: how many the text has, where the estimate counts more than the text.
    """
    if not _whole(counted):
        return estimated
    least = -(-estimated // LEAST_SHARE) if characters is None else -(-characters // LONGEST_TOKEN)
    most = max(context_length or MOST_TOKENS, LEAST_SHARE * estimated)
    return estimated if counted < least else int(min(counted, most))


def _whole(value: Any) -> TypeGuard[int | float]:
    """Whether it is a whole number; one of more than 64 bits is read as a float."""
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())


def _weight(text: str) -> int:
    """Twelfths of a token: three for a letter, four for a byte of a text that is not ASCII."""
    return 3 * len(text) if text.isascii() else 4 * len(text.encode("utf-8", "surrogatepass"))


class TextEstimate:
    """The estimate of a text that comes in pieces: what it is in the end does not depend on how it was cut."""

    __slots__ = ("_known", "_weight")

    def __init__(self) -> None:
        self._known = 0
        self._weight = 0

    def add(self, text: str, tokens: int = 0) -> None:
        """Count the next piece, which has so many tokens where that is known."""
        if tokens:
            self._known += tokens
        else:
            self._weight += 3 * len(text) if text.isascii() else _weight(text)

    def clear(self) -> None:
        """Begin with nothing again."""
        self._known = self._weight = 0

    @property
    def tokens(self) -> int:
        return self._known + -(-self._weight // _UNIT)


class TokenTally:
    """The tokens of one answer as it comes: estimated until the upstream reports its usage, and where that cannot
    be."""

    __slots__ = ("_answer", "_characters", "_context_length", "_prompt", "_usage")

    def __init__(self, prompt: Iterable[str], context_length: int = 0) -> None:
        """`prompt`: its texts. `context_length`: the model's, 0 where it is not known."""
        texts = list(prompt)
        self._prompt = estimate_prompt(texts)
        self._characters = sum(map(len, texts))
        self._context_length = context_length
        self._answer = TextEstimate()
        self._usage: dict[str, Any] | None = None

    def add(self, text: str) -> None:
        """Count a piece of the answer."""
        self._answer.add(text)

    def report(self, usage: Any) -> None:
        """Take what the upstream reports; the last report counts."""
        if isinstance(usage, dict):
            self._usage = usage

    @property
    def reported(self) -> dict[str, Any] | None:
        """What the upstream has reported last."""
        return self._usage

    @property
    def read(self) -> int:
        return believed(self._reported("prompt_tokens"), self._prompt, self._characters, self._context_length)

    @property
    def written(self) -> int:
        """Of the answer so far. Some upstreams have what was thought in the total alone."""
        counted = self._reported("completion_tokens")
        if _whole(counted) and _whole(total := self._reported("total_tokens")):
            counted = max(counted, total - self.read)
        return believed(counted, self._answer.tokens, context_length=self._context_length)

    @property
    def cached(self) -> int:
        """Of those read."""
        details = self._reported("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, dict) else None
        return int(min(self.read, max(0, cached))) if _whole(cached) else 0

    @property
    def estimated(self) -> bool:
        """Whether the upstream did not report its usage, or not one that can be."""
        read, written, cached = self.read, self.written, self.cached
        parts = (self._reported("prompt_tokens"), self._reported("completion_tokens"))
        total, details = self._reported("total_tokens"), self._reported("prompt_tokens_details")
        whole = total is None or total == read + written
        counted = parts == (read, written) or (parts[0] == read and _whole(parts[1]) and total == read + written)
        hit = details.get("cached_tokens") if isinstance(details, dict) else None
        return not (whole and counted and (hit is None or hit == cached))

    @property
    def implausible(self) -> bool:
        """Whether it reported one that cannot be."""
        return bool(self._usage) and self.estimated

    def _reported(self, name: str) -> Any:
        return None if self._usage is None else self._usage.get(name)
