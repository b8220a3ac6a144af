"""What tokens cost."""

from dataclasses import dataclass

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """Of a million tokens read and written, in billionths of the catalogue's currency."""

    input_nanos: int = 0
    output_nanos: int = 0

    def nanos(self, prompt_tokens: int, completion_tokens: int) -> int:
        """The cost of so many tokens, rounded up to a whole nano."""
        return -(-(prompt_tokens * self.input_nanos + completion_tokens * self.output_nanos) // MILLION)


FREE = Price()
