"""Tokens and cost of a call as they pass: exact where they are reported, estimated in between."""

from math import ceil

from services.llm.price import FREE, Price
from services.llm.tokens import TextEstimate


class Meter:
    """Counts one call, in integers. It begins with `prompt_tokens`, an estimate."""

    __slots__ = (
        "_cost_nanos",
        "_read",
        "_unread",
        "_unreported",
        "_written",
        "cached_tokens",
        "kept_tokens",
        "price",
        "reasoning_tokens",
    )

    def __init__(self, prompt_tokens: int, price: Price = FREE) -> None:
        self.price = price
        self.cached_tokens = self.reasoning_tokens = self.kept_tokens = 0
        self._read = self._written = self._cost_nanos = 0
        self._unread = prompt_tokens
        self._unreported = TextEstimate()

    def ask(self, prompt_tokens: int) -> None:
        """A model is sent about so many tokens, which are not reported yet."""
        self._unread = prompt_tokens

    def write(self, text: str, tokens: int = 0) -> None:
        """Count a piece of the answer, of so many tokens where that is known."""
        self._unreported.add(text, tokens)

    def report(
        self, prompt_tokens: int, completion_tokens: int, cached_tokens: int, cost_nanos: int | None = None,
        reasoning_tokens: int = 0, kept_tokens: int = 0,
    ) -> None:  # fmt: skip
        """Take all that was used until now, in place of what was estimated; the cost is by the price where it is not
        reported."""
        self._read, self._written, self.cached_tokens = prompt_tokens, completion_tokens, cached_tokens
        self.reasoning_tokens, self.kept_tokens = reasoning_tokens, kept_tokens
        if cost_nanos is None:
            cost_nanos = self.price.nanos(prompt_tokens, completion_tokens, cached_tokens, kept_tokens)
        self._cost_nanos = cost_nanos
        self.end()

    def end(self) -> None:
        """All that was used has been reported: what was not, was not used."""
        self._unread = 0
        self._unreported.clear()

    @property
    def prompt_tokens(self) -> int:
        return self._read + self._unread

    @property
    def completion_tokens(self) -> int:
        return self._written + self._unreported.tokens

    @property
    def tokens(self) -> int:
        """Read and written so far."""
        return self._read + self._unread + self._written + self._unreported.tokens

    @property
    def cost_nanos(self) -> int:
        """Cost so far, in billionths; by the price, as far as it is not reported yet."""
        return self._cost_nanos + self.price.nanos(self._unread, self._unreported.tokens)


class HitMeter(Meter):
    """Counts an answer of the cache: a `share` of the `nanos` that it cost, and of the tokens as they are reported."""

    __slots__ = ("_nanos", "_share")

    def __init__(self, nanos: int, share: float) -> None:
        super().__init__(0)
        self._nanos = nanos
        self._share = share

    def ask(self, prompt_tokens: int) -> None:
        """No model is asked."""

    def write(self, text: str, tokens: int = 0) -> None:
        """No model writes."""

    def report(
        self, prompt_tokens: int, completion_tokens: int, cached_tokens: int, cost_nanos: int | None = None,
        reasoning_tokens: int = 0, kept_tokens: int = 0,
    ) -> None:  # fmt: skip
        """The share of all that was used, rounded up."""
        used = (prompt_tokens, completion_tokens, cached_tokens, self._nanos, reasoning_tokens, kept_tokens)
        super().report(*(ceil(count * self._share) for count in used))
