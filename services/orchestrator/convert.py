"""Protobuf and domain, each way. Pure."""

import math
import re
from collections.abc import Sequence

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from headworks.orchestrator.v1 import orchestrator_service_pb2 as service_pb
from headworks.orchestrator.v1 import run_event_pb2 as event_pb
from headworks.orchestrator.v1 import run_pb2 as run_pb
from headworks.type.v1 import citation_pb2, span_pb2, timing_pb2, usage_pb2

from services.orchestrator.conversation import Message, Role
from services.orchestrator.runs.agent import Ask
from services.orchestrator.runs.events import (
    CitationAdded,
    Event,
    Finished,
    PassagesRetrieved,
    Span,
    Started,
    TextDelta,
    Timing,
    UsageReported,
)
from services.orchestrator.runs.run import RunInfo
from services.runtime.errors import InvalidArgument

QUESTION_LIMIT = 8192
MOST_PASSAGES = 20
MOST_SENTENCES = 10
_COLLECTION = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_PAGE = re.compile(r"([0-9.e+-]+)/([A-Za-z0-9_.-]+)")


def ask(request: service_pb.RunRequest) -> Ask:
    """What a run is to answer. Raises InvalidArgument."""
    _question(request.messages)
    return Ask(
        messages=tuple(Message(Role(message.role), message.content) for message in request.messages),
        collection=_collection(request.collection or "default"),
        max_passages=_bounded("max_passages", request.max_passages or 3, MOST_PASSAGES),
        max_sentences=_bounded("max_sentences", request.max_sentences or 2, MOST_SENTENCES),
    )


def _question(messages: Sequence[run_pb.Message]) -> str:
    if not messages or messages[-1].role != run_pb.Message.ROLE_USER:
        raise InvalidArgument("messages must end with a user message: the question", field="messages")
    question = messages[-1].content.strip()
    if not question:
        raise InvalidArgument("the question is empty", field="messages")
    if len(question) > QUESTION_LIMIT:
        raise InvalidArgument(
            f"the question has {len(question)} characters; the most is {QUESTION_LIMIT}", field="messages"
        )
    return question


def _collection(name: str) -> str:
    """The name, if retrieval could know it: what goes into the record of runs is not just anything."""
    if not _COLLECTION.fullmatch(name):
        raise InvalidArgument(
            "a collection's name is 1 to 64 of a-z, 0-9, '-' and '_' and begins with a letter or a digit",
            field="collection",
        )
    return name


def _bounded(field: str, value: int, most: int) -> int:
    if not 1 <= value <= most:
        raise InvalidArgument(f"{field} must be from 1 to {most}, or 0 for the default", field=field)
    return value


def timestamp(seconds: float) -> Timestamp:
    whole = int(seconds)
    return Timestamp(seconds=whole, nanos=int((seconds - whole) * 1e9))


def duration(seconds: float) -> Duration:
    whole = int(seconds)
    return Duration(seconds=whole, nanos=int((seconds - whole) * 1e9))


def event(run_id: str, of: Event) -> event_pb.RunEvent:
    """An event of the run."""
    message = event_pb.RunEvent(run_id=run_id, sequence=of.sequence, create_time=timestamp(of.time))
    match of.body:
        case Started(model, collection):
            message.started.model = model
            message.started.collection = collection
        case PassagesRetrieved(passages):
            message.passages.SetInParent()
            for passage in passages:
                message.passages.passages.add(
                    passage_id=passage.passage_id,
                    document_id=passage.document_id,
                    title=passage.title,
                    score=passage.score,
                )
        case TextDelta(text):
            message.text.text = text
        case CitationAdded() as body:
            message.citation.CopyFrom(_citation(body))
        case UsageReported(read, written):
            message.usage.usage.CopyFrom(usage_pb2.Usage(prompt_tokens=read, completion_tokens=written))
        case Finished() as body:
            message.finished.CopyFrom(_finished(body))
    return message


def _citation(body: CitationAdded) -> event_pb.CitationAdded:
    citation = body.citation
    return event_pb.CitationAdded(
        citation=citation_pb2.Citation(
            document_id=citation.document_id,
            title=citation.title,
            uri=citation.uri,
            passage_id=citation.passage_id,
            span=_span(citation.span),
            quote=citation.quote,
        ),
        answer_span=_span(body.answer_span),
    )


def _span(span: Span) -> span_pb2.CharSpan:
    return span_pb2.CharSpan(start=span.start, end=span.end)


def _finished(body: Finished) -> event_pb.RunFinished:
    return event_pb.RunFinished(
        reason=int(body.reason),  # type: ignore[arg-type]  # the values are the contract's
        error_reason=body.error_reason,
        error_message=body.error_message,
        error_code=body.error_code,
        timings=[_timing(timing) for timing in body.timings],
    )


def _timing(timing: Timing) -> timing_pb2.HopTiming:
    return timing_pb2.HopTiming(hop=timing.hop, duration=duration(timing.seconds))


def run(info: RunInfo) -> run_pb.Run:
    """A run as others see it."""
    return run_pb.Run(
        id=info.id,
        model=info.model,
        collection=info.collection,
        state=int(info.state),  # type: ignore[arg-type]  # the values are the contract's
        finish_reason=int(info.finish_reason or 0),  # type: ignore[arg-type]
        last_sequence=info.last_sequence,
        create_time=timestamp(info.create_time),
        end_time=timestamp(info.end_time) if info.end_time is not None else None,
        usage=usage_pb2.Usage(prompt_tokens=info.prompt_tokens, completion_tokens=info.completion_tokens),
    )


def page_token(info: RunInfo) -> str:
    """Where the next page begins: after this run."""
    return f"{info.create_time!r}/{info.id}"


def page_start(token: str) -> tuple[float, str] | None:
    """What `page_token` made; None for the first page. Raises InvalidArgument for anything else."""
    if not token:
        return None
    found = _PAGE.fullmatch(token)
    try:
        time = float(found[1]) if found else math.nan
    except ValueError:
        time = math.nan
    if found is None or not math.isfinite(time):
        raise InvalidArgument("page_token must be a next_page_token of this method", field="page_token")
    return time, found[2]
