"""What tokens cost."""

from dataclasses import dataclass

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """Of a million tokens read and written, in billionths of the catalogue's currency; `cached_nanos` of those found in
    the model's prefix cache, `kept_nanos` of those put into it. None: as others that are read."""

    input_nanos: int = 0
    output_nanos: int = 0
    cached_nanos: int | None = None
    kept_nanos: int | None = None

    def nanos(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0, kept_tokens: int = 0) -> int:
        """The cost of so many tokens, rounded up to a whole nano. The prompt's include those that were cached, and
        kept."""
        cost = prompt_tokens * self.input_nanos + completion_tokens * self.output_nanos
        if self.cached_nanos is not None:
            cost += cached_tokens * (self.cached_nanos - self.input_nanos)
        if self.kept_nanos is not None:
            cost += kept_tokens * (self.kept_nanos - self.input_nanos)
        return -(-cost // MILLION)


FREE = Price()
