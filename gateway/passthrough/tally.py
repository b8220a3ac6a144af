"""How many tokens an answer has, as far as it has come."""

from collections.abc import Iterable

from gateway.openai.fields import Json
from gateway.passthrough.chunk import Chunk
from gateway.passthrough.ports import Spent
from gateway.passthrough.request import CHARACTERS_PER_TOKEN


class Tally:
    """Until the upstream tells its usage: a token for each piece of text, or for four characters where that is more."""

    def __init__(self, prompt_tokens: int) -> None:
        self._prompt_tokens = prompt_tokens
        self._pieces = 0
        self._characters = 0
        self._usage: Json | None = None
        self.finish_reason = ""

    def take(self, chunks: Iterable[Chunk]) -> None:
        for chunk in chunks:
            for part in chunk.parts:
                self._pieces += 1
                self._characters += len(part.text)
            if chunk.finish_reason:
                self.finish_reason = chunk.finish_reason
            if chunk.usage is not None:
                self._usage = chunk.usage

    @property
    def completion_tokens(self) -> int:
        """Of the answer so far."""
        counted = max(self._pieces, -(-self._characters // CHARACTERS_PER_TOKEN))
        return counted if self._usage is None else _count(self._usage, "completion_tokens")

    def spent(self, finish_reason: str = "") -> Spent:
        """What the call used, if it ended now and for this reason; the upstream's own where none is given."""
        usage, reason = self._usage, finish_reason or self.finish_reason or "stop"
        if usage is None:
            return Spent(self._prompt_tokens, self.completion_tokens, 0, reason, estimated=True)
        details = usage.get("prompt_tokens_details")
        cached = _count(details, "cached_tokens") if isinstance(details, dict) else 0
        return Spent(_count(usage, "prompt_tokens"), self.completion_tokens, cached, reason)


def usage_json(spent: Spent) -> Json:
    """In OpenAI's form."""
    read, written = spent.prompt_tokens, spent.completion_tokens
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": spent.cached_tokens},
    }


def _count(values: Json, name: str) -> int:
    """A number that the upstream tells, and which may be anything."""
    value = values.get(name)
    return max(value, 0) if isinstance(value, int) else 0
