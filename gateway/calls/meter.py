"""Tokens and cost of a call as they pass: exact where they are reported, estimated in between."""

from services.llm.price import FREE, Price
from services.llm.tokens import estimate


class Meter:
    """Counts one call, in integers. It begins with `prompt_tokens`, an estimate."""

    __slots__ = ("_cost_nanos", "_price", "_reported", "_unreported", "_written", "cached_tokens", "prompt_tokens")

    def __init__(self, prompt_tokens: int, price: Price = FREE) -> None:
        self._price = price
        self.prompt_tokens = prompt_tokens
        self.cached_tokens = 0
        self._written = self._unreported = self._cost_nanos = 0
        self._reported = False

    def write(self, text: str, tokens: int = 0) -> None:
        """Count a piece of the answer, of so many tokens where that is known."""
        self._unreported += tokens or estimate(text)

    def report(
        self, prompt_tokens: int, completion_tokens: int, cached_tokens: int, cost_nanos: int | None = None
    ) -> None:
        """Take all that was used until now, in place of what was estimated; the cost is by the price where it is not
        reported."""
        self.prompt_tokens, self._written, self.cached_tokens = prompt_tokens, completion_tokens, cached_tokens
        self._cost_nanos = self._price.nanos(prompt_tokens, completion_tokens) if cost_nanos is None else cost_nanos
        self._unreported, self._reported = 0, True

    def end(self) -> None:
        """All that was used has been reported: what was not, was not used."""
        if not self._reported:
            self.prompt_tokens, self._reported = 0, True
        self._unreported = 0

    @property
    def completion_tokens(self) -> int:
        return self._written + self._unreported

    @property
    def tokens(self) -> int:
        """Read and written so far."""
        return self.prompt_tokens + self._written + self._unreported

    @property
    def cost_nanos(self) -> int:
        """Cost so far, in billionths; by the price, as far as it is not reported yet."""
        unread = 0 if self._reported else self.prompt_tokens
        return self._cost_nanos + self._price.nanos(unread, self._unreported)
