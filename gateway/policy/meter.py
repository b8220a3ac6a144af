"""Tokens and cost as they pass: exact where the run says so, estimated in between."""

from collections.abc import Iterable

from headworks.orchestrator.v1 import run_event_pb2 as event_pb
from headworks.orchestrator.v1 import run_pb2
from headworks.type.v1 import usage_pb2

from gateway.usage.prices import FREE, Price


def estimate(text: str) -> int:
    """About how many tokens a text is, rather too many than too few: four letters each, one a CJK character."""
    return (len(text) + 3) // 4 if text.isascii() else (len(text.encode()) + 2) // 3


# What a model wrote before such an end is not told.
BROKEN_OFF = (
    run_pb2.FINISH_REASON_CANCELLED,
    run_pb2.FINISH_REASON_DEADLINE_EXCEEDED,
    run_pb2.FINISH_REASON_ERROR,
)


class Meter:
    """Counts one call. `read`: about how many tokens its prompt has."""

    __slots__ = ("_known", "_price", "_read", "_since", "_told")

    def __init__(self, read: int, price: Price = FREE) -> None:
        self._read = read
        self._price = price
        self._known = usage_pb2.Usage()
        self._since = 0
        self._told = False

    def take(self, events: Iterable[event_pb.RunEvent]) -> None:
        """Count the next events."""
        for event in events:
            kind = event.WhichOneof("event")
            if kind == "text":
                self.write(event.text.text, event.text.tokens)
            elif kind == "usage":
                self.know(event.usage.usage)
            elif kind == "finished" and event.finished.reason not in BROKEN_OFF:
                self.know(self._known)  # a run that comes to its end has told all that it used

    def write(self, text: str, tokens: int = 0) -> None:
        """Count a piece of the answer, of so many tokens where that is known."""
        self._since += tokens or estimate(text)

    def reach(self, completion_tokens: int) -> None:
        """So much of the answer has come, in all."""
        self._since = completion_tokens

    def know(self, usage: usage_pb2.Usage) -> None:
        """All that was consumed until now, in place of what was estimated."""
        self._known, self._since, self._told = usage, 0, True

    def usage(self) -> usage_pb2.Usage:
        """Consumed so far."""
        known = self._known
        read = known.prompt_tokens if self._told else self._read
        unbilled = self._price.nanos(0 if self._told else read, self._since)
        return usage_pb2.Usage(
            prompt_tokens=read,
            completion_tokens=known.completion_tokens + self._since,
            cached_tokens=known.cached_tokens,
            cost_nanos=known.cost_nanos + unbilled,
        )
