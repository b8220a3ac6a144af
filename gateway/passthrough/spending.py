"""What a bare call has used, as far as its answer has come, and why it ended."""

from collections.abc import Iterable, Sequence

from gateway.faces.http.openai.fields import Json
from gateway.passthrough.ports import Spent
from services.llm.openai.chunks import Chunk
from services.llm.tokens import Tally


class Spending:
    """The tally of one answer, and its upstream's reason for the end."""

    def __init__(self, prompt: Sequence[str]) -> None:
        """`prompt`: its texts."""
        self._tally = Tally(prompt)
        self.finish_reason = ""

    def take(self, chunks: Iterable[Chunk]) -> None:
        for chunk in chunks:
            for part in chunk.parts:
                self._tally.add(part.text)
            if chunk.finish_reason:
                self.finish_reason = chunk.finish_reason
            if chunk.usage is not None:
                self._tally.report(chunk.usage)

    @property
    def completion_tokens(self) -> int:
        """Of the answer so far."""
        return self._tally.written

    def spent(self, finish_reason: str = "") -> Spent:
        """What the call used, if it ended now and for this reason; the upstream's own where none is given."""
        tally = self._tally
        reason = finish_reason or self.finish_reason or "stop"
        return Spent(tally.read, tally.written, tally.cached, reason, tally.estimated)


def usage_json(spent: Spent) -> Json:
    """In OpenAI's form."""
    read, written = spent.prompt_tokens, spent.completion_tokens
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": spent.cached_tokens},
    }
