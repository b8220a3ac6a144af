"""A run's events as bytes, for its record."""

from typing import Any

import orjson

from services.orchestrator.runs.events import (
    Body,
    Citation,
    CitationAdded,
    Event,
    Finished,
    FinishReason,
    PassageReference,
    PassagesRetrieved,
    Span,
    Started,
    TextDelta,
    Timing,
    UsageReported,
)

_KINDS: dict[str, type[Body]] = {
    kind.__name__: kind for kind in (Started, PassagesRetrieved, TextDelta, CitationAdded, UsageReported, Finished)
}


def encode(events: list[Event]) -> bytes:
    """JSON: a list of [sequence, time, kind, fields]."""
    return orjson.dumps([(event.sequence, event.time, type(event.body).__name__, event.body) for event in events])


def decode(data: bytes) -> list[Event]:
    """What `encode` made. ValueError for anything else."""
    return [Event(sequence, _body(kind, fields), time) for sequence, time, kind, fields in orjson.loads(data)]


def _body(kind: str, fields: dict[str, Any]) -> Body:
    made = _KINDS.get(kind)
    if made is None:
        raise ValueError(f"unknown kind of event {kind!r}")
    if made is PassagesRetrieved:
        return PassagesRetrieved(tuple(PassageReference(**passage) for passage in fields["passages"]))
    if made is CitationAdded:
        citation = fields["citation"]
        return CitationAdded(Citation(**{**citation, "span": Span(**citation["span"])}), Span(**fields["answer_span"]))
    if made is Finished:
        timings = tuple(Timing(**timing) for timing in fields["timings"])
        return Finished(**{**fields, "reason": FinishReason(fields["reason"]), "timings": timings})
    return made(**fields)
