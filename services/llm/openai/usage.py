"""The usage that an answer is booked and goes out with: the upstream's, as far as it can be."""

import logging
from collections.abc import Iterable

from services.llm import metrics
from services.llm.openai.chunks import APART, Channel, Chunk, Json, TextPart, usage_json
from services.llm.openai.form import restored_usage
from services.llm.tokens import TokenTally

log = logging.getLogger(__name__)

# Texts beside an answer that are known to be repeated in its chunks, of such a length at least.
_MOST_REPEATED, _SHORTEST_REPEATED = 1024, 4


class ChunkCounter:
    """Counts the chunks of one answer: all that goes out and is not the API's own, each text once."""

    def __init__(self, tally: TokenTally) -> None:
        self._tally = tally
        self._apart: set[str] = set()
        self._last: dict[Channel, str] = {}

    def count(self, chunks: Iterable[Chunk]) -> None:
        """Count the texts of chunks, and what they have in pictures and the like."""
        said: list[str] = []
        for chunk in chunks:
            for part in chunk.parts:
                if not part.counted:
                    continue
                if part.channel is not APART and "." not in part.channel.name:
                    said.append(part.text)
                elif not self._repeats(part):
                    self._tally.add_beside(part.text)
            if chunk.beyond or chunk.media:
                self._tally.add_beside(chunk.beyond, chunk.media)
        if said:
            self._tally.add(*said)

    def _repeats(self, part: TextPart) -> bool:
        """Whether a text beside the answer was in a chunk before; of one that comes piece by piece, in the last."""
        channel, text = part.channel, part.text
        if channel is not APART:
            repeats = self._last.get(channel) == text and len(text) >= _SHORTEST_REPEATED
            if len(self._last) < _MOST_REPEATED or channel in self._last:
                self._last[channel] = text
            return repeats
        if text in self._apart:
            return True
        if len(self._apart) < _MOST_REPEATED:
            self._apart.add(text)
        return False


def usage_of(reported: Json | None, tally: TokenTally) -> Json:
    """What the upstream reported where that is what is booked, in a form that clients can read; else the same with the
    numbers that are. All of it is estimated where it reported nothing."""
    counts = tally.counts
    if reported is not None and not tally.estimated:
        return restored_usage(reported, counts.read, counts.written)
    return usage_json(counts.read, counts.written, counts.cached, counts.reasoning, counts.kept)


def check(model: str, tally: TokenTally) -> None:
    """Log and count a usage that cannot be, once its answer is over."""
    if tally.implausible:
        metrics.DISBELIEVED.labels(model).inc()
        log.warning(
            "the upstream reports a usage that cannot be: other numbers are booked",
            extra={"model": model, "prompt_tokens": tally.counts.read, "completion_tokens": tally.counts.written},
        )
