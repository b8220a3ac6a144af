"""Tokens and cost as they pass: exact where the run says so, estimated in between."""

from collections.abc import Iterable

from headworks.orchestrator.v1 import run_event_pb2 as event_pb
from headworks.orchestrator.v1 import run_pb2
from headworks.type.v1 import usage_pb2

from services.llm.price import FREE, Price
from services.llm.tokens import estimate

# What a model wrote before such an end is not told.
BROKEN_OFF = (
    run_pb2.FINISH_REASON_CANCELLED,
    run_pb2.FINISH_REASON_DEADLINE_EXCEEDED,
    run_pb2.FINISH_REASON_ERROR,
)


class Meter:
    """Counts one call. `read`: about how many tokens its prompt has."""

    __slots__ = ("_cached", "_cost", "_known", "_price", "_read", "_since", "_written")

    def __init__(self, read: int, price: Price = FREE) -> None:
        self._price = price
        self._read = read
        self._written = self._cached = self._cost = 0
        self._since = 0
        self._known = False

    def take(self, events: Iterable[event_pb.RunEvent]) -> None:
        """Count the next events."""
        for event in events:
            kind = event.WhichOneof("event")
            if kind == "text":
                self.write(event.text.text, event.text.tokens)
            elif kind == "usage":
                self.know(event.usage.usage)
            elif kind == "finished" and event.finished.reason not in BROKEN_OFF:
                self._end()

    def write(self, text: str, tokens: int = 0) -> None:
        """Count a piece of the answer, of so many tokens where that is known."""
        self._since += tokens or estimate(text)

    def reach(self, completion_tokens: int) -> None:
        """So much of the answer has come, in all."""
        self._since = completion_tokens

    def know(self, usage: usage_pb2.Usage) -> None:
        """All that was consumed until now, in place of what was estimated."""
        self._read, self._written = usage.prompt_tokens, usage.completion_tokens
        self._cached, self._cost = usage.cached_tokens, usage.cost_nanos
        self._since, self._known = 0, True

    def _end(self) -> None:
        """A run that comes to its end has reported all that it used."""
        if not self._known:
            self._read, self._known = 0, True
        self._since = 0

    @property
    def prompt_tokens(self) -> int:
        """Read so far."""
        return self._read

    @property
    def completion_tokens(self) -> int:
        """Written so far."""
        return self._written + self._since

    @property
    def cached_tokens(self) -> int:
        """Of those read, from a cache."""
        return self._cached

    @property
    def tokens(self) -> int:
        """Read and written so far."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def cost_nanos(self) -> int:
        """Cost so far, in billionths; what is not reported yet by the price."""
        return self._cost + self._price.nanos(0 if self._known else self._read, self._since)

    def usage(self) -> usage_pb2.Usage:
        """Consumed so far, as a message."""
        return usage_pb2.Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cached_tokens=self.cached_tokens,
            cost_nanos=self.cost_nanos,
        )
