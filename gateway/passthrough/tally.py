"""How many tokens an answer has, as far as it has come."""

from collections.abc import Iterable

from gateway.openai.fields import Json
from gateway.passthrough.chunk import Chunk
from gateway.passthrough.ports import Spent
from gateway.passthrough.request import CHARACTERS_PER_TOKEN
from services.runtime.upstreams import field, tokens


class Tally:
    """Until the upstream tells its usage, and where that cannot be: a token for each piece of text, or for four
    characters where that is more."""

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
        return tokens(field(self._usage, "completion_tokens"), self._counted)

    @property
    def _counted(self) -> int:
        return max(self._pieces, -(-self._characters // CHARACTERS_PER_TOKEN))

    def spent(self, finish_reason: str = "") -> Spent:
        """What the call used, if it ended now and for this reason; the upstream's own where none is given."""
        reason = finish_reason or self.finish_reason or "stop"
        read = tokens(field(self._usage, "prompt_tokens"), self._prompt_tokens)
        written = self.completion_tokens
        said = (field(self._usage, "prompt_tokens"), field(self._usage, "completion_tokens"))
        cached = min(read, tokens(field(field(self._usage, "prompt_tokens_details"), "cached_tokens"), 0))
        return Spent(read, written, cached, reason, estimated=said != (read, written))


def usage_json(spent: Spent) -> Json:
    """In OpenAI's form."""
    read, written = spent.prompt_tokens, spent.completion_tokens
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": spent.cached_tokens},
    }
