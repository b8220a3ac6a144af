"""Tokens and cost of a call as they pass: exact where they are reported, estimated in between."""

from services.llm.price import FREE, Price
from services.llm.tokens import TextEstimate


class Meter:
    """Counts one call, in integers. It begins with `prompt_tokens`, an estimate."""

    __slots__ = (
        "_cost_nanos", "_reported", "_unreported", "_written", "cached_tokens", "price", "prompt_tokens",
        "reasoning_tokens",
    )  # fmt: skip

    def __init__(self, prompt_tokens: int, price: Price = FREE) -> None:
        self.price = price
        self.prompt_tokens = prompt_tokens
        self.cached_tokens = self.reasoning_tokens = 0
        self._written = self._cost_nanos = 0
        self._unreported = TextEstimate()
        self._reported = False

    def write(self, text: str, tokens: int = 0) -> None:
        """Count a piece of the answer, of so many tokens where that is known."""
        self._unreported.add(text, tokens)

    def report(
        self, prompt_tokens: int, completion_tokens: int, cached_tokens: int, cost_nanos: int | None = None,
        reasoning_tokens: int = 0,
    ) -> None:  # fmt: skip
        """Take all that was used until now, in place of what was estimated; the cost is by the price where it is not
        reported."""
        self.prompt_tokens, self._written, self.cached_tokens = prompt_tokens, completion_tokens, cached_tokens
        self.reasoning_tokens = reasoning_tokens
        self._cost_nanos = self.price.nanos(prompt_tokens, completion_tokens) if cost_nanos is None else cost_nanos
        self._unreported.clear()
        self._reported = True

    def end(self) -> None:
        """All that was used has been reported: what was not, was not used."""
        if not self._reported:
            self.prompt_tokens, self._reported = 0, True
        self._unreported.clear()

    @property
    def completion_tokens(self) -> int:
        return self._written + self._unreported.tokens

    @property
    def tokens(self) -> int:
        """Read and written so far."""
        return self.prompt_tokens + self._written + self._unreported.tokens

    @property
    def cost_nanos(self) -> int:
        """Cost so far, in billionths; by the price, as far as it is not reported yet."""
        unread = 0 if self._reported else self.prompt_tokens
        return self._cost_nanos + self.price.nanos(unread, self._unreported.tokens)
