"""The answer of a run, gathered from its events."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from headworks.orchestrator.v1 import run_event_pb2, run_pb2
from headworks.type.v1.citation_pb2 import Citation

from cli.messages import as_dict, enum_word
from cli.output import timings_ms

Timings = dict[str, float]


@dataclass
class Answer:
    """What a run has answered so far. Times are in milliseconds, by hop, from the outside in."""

    run_id: str = ""
    text: str = ""
    citations: list[Citation] = field(default_factory=list)
    finish_reason: str = ""
    degraded: bool = False
    not_reranked: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    timings_ms: Timings = field(default_factory=dict)
    sequence: int = 0
    last: run_event_pb2.RunEvent | None = None

    def take(self, event: run_event_pb2.RunEvent) -> str:
        """Take an event in; returns the text that it added."""
        self.run_id = event.run_id
        self.sequence = event.sequence
        self.last = event
        match event.WhichOneof("event"):
            case "text":
                self.text += event.text.text
                return event.text.text
            case "passages":
                self.degraded = self.degraded or event.passages.degraded
                self.not_reranked = self.not_reranked or event.passages.not_reranked
            case "citation":
                self.citations.append(event.citation.citation)
            case "usage":
                self.prompt_tokens = event.usage.usage.prompt_tokens
                self.completion_tokens = event.usage.usage.completion_tokens
            case "finished":
                self.finish_reason = enum_word(run_pb2.FinishReason.DESCRIPTOR, event.finished.reason)
                self.timings_ms |= timings_ms(event.finished.timings)
        return ""

    def as_json(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "answer": self.text,
            "finish_reason": self.finish_reason,
            "degraded": self.degraded,
            "not_reranked": self.not_reranked,
            "citations": [as_dict(citation) | {"span": as_dict(citation.span)} for citation in self.citations],
            "usage": {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens},
            "timings_ms": self.timings_ms,
        }


def gather(events: Iterable[run_event_pb2.RunEvent], emit: Callable[[str], None], into: Answer | None = None) -> Answer:
    """Take all events in, passing each piece of text to `emit`; adds "client" and "first_text" to the timings. `into`
    has what came where the events break off."""
    answer, started = into or Answer(), time.monotonic()
    first: float | None = None
    try:
        for event in events:
            text = answer.take(event)
            if text:
                first = first or time.monotonic()
                emit(text)
    finally:
        answer.timings_ms = {"client": _ms(started, time.monotonic())} | answer.timings_ms
        if first:
            answer.timings_ms["first_text"] = _ms(started, first)
    return answer


def with_gateway(timings: Timings, server_timing: str) -> Timings:
    """The timings with what the gateway says it took, from its server-timing metadata, and what the edge adds."""
    gateway = parse_server_timing(server_timing).get("gateway")
    if gateway is None:
        return timings
    client = timings.get("client", gateway)
    edge = {"client": client, "edge": round(max(0.0, client - gateway), 2), "gateway": round(gateway, 2)}
    return edge | {hop: took for hop, took in timings.items() if hop not in edge}


def parse_server_timing(header: str) -> Timings:
    """The durations in a Server-Timing header, by name."""
    durations: Timings = {}
    for part in header.split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "dur":
                try:
                    durations[name] = float(value)
                except ValueError:
                    continue
    return durations


def _ms(start: float, end: float) -> float:
    return round((end - start) * 1000, 2)
