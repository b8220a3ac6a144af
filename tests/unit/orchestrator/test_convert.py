"""Protobuf and domain, as tables."""

import pytest
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import run_pb2
from headworks.retrieval.v1.retrieval_service_pb2 import Condition, Filter, NumberRange

from services.llm.chat import Message, Role
from services.orchestrator import convert, requests
from services.orchestrator.adapters import retrieval_client
from services.orchestrator.domain.document_filter import Condition as DocumentCondition
from services.orchestrator.domain.document_filter import DocumentFilter
from services.orchestrator.domain.event import (
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
from services.orchestrator.runs.agent import RunInput
from services.orchestrator.runs.run import RunInfo, RunState
from services.runtime.errors import InvalidArgument

USER, SYSTEM, ASSISTANT = run_pb2.Message.ROLE_USER, run_pb2.Message.ROLE_SYSTEM, run_pb2.Message.ROLE_ASSISTANT


def message(content: str = "why?", role: run_pb2.Message.Role.ValueType = USER) -> run_pb2.Message:
    return run_pb2.Message(role=role, content=content)


def filtered(*must: Condition) -> pb.RunRequest:
    return pb.RunRequest(messages=[message()], filter=Filter(must=must))


def test_a_filter() -> None:
    most = [Condition(field=field, any_of=["x", "y"]) for field in ("document_id", "media_type", "metadata.a")] * 8
    assert requests.ask(filtered(*most)).filter.must[2] == DocumentCondition("metadata.a", ("x", "y"))
    without = Filter(must_not=[Condition(field="metadata.a", any_of=[""])])
    asked = requests.ask(pb.RunRequest(messages=[message()], filter=without)).filter
    assert asked == DocumentFilter((), (DocumentCondition("metadata.a", ("",)),))


def test_a_nested_filter_goes_on_as_it_is() -> None:
    recent = Condition(field="metadata.year", range=NumberRange(gte=2024, lt=2026))
    without = Filter(must_not=[Condition(field="metadata.a", any_of=["x"])])
    given = Filter(any=[Filter(must=[recent]), Filter(any=[without])])
    asked = requests.ask(pb.RunRequest(messages=[message()], filter=given)).filter
    assert retrieval_client._filter(asked) == given


def deep(levels: int) -> Filter:
    return Filter(any=[deep(levels - 1)]) if levels else Filter()


def test_the_defaults_are_the_contracts() -> None:
    assert requests.ask(pb.RunRequest(messages=[message()])) == RunInput((Message(Role.USER, "why?"),))


def test_the_question_is_the_last_message() -> None:
    request = pb.RunRequest(
        messages=[message("be kind", SYSTEM), message("a"), message("b", ASSISTANT), message(" c \n")],
        collection="cats", max_passages=20, max_sentences=10,
    )  # fmt: skip
    asked = requests.ask(request)
    assert (asked.question, asked.collection, asked.max_passages, asked.max_sentences) == ("c", "cats", 20, 10)
    assert [each.role for each in asked.messages] == [Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.USER]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.RunRequest(), "messages"),
        (pb.RunRequest(messages=[message(role=ASSISTANT)]), "messages"),
        (pb.RunRequest(messages=[message(role=run_pb2.Message.ROLE_UNSPECIFIED)]), "messages"),
        (pb.RunRequest(messages=[message("")]), "messages"),
        (pb.RunRequest(messages=[message(" \n\t")]), "messages"),
        (pb.RunRequest(messages=[message()], max_passages=21), "max_passages"),
        (pb.RunRequest(messages=[message()], max_passages=-1), "max_passages"),
        (pb.RunRequest(messages=[message()], max_sentences=11), "max_sentences"),
        (pb.RunRequest(messages=[message()], max_sentences=-1), "max_sentences"),
        (pb.RunRequest(messages=[message()], collection="x" * 65), "collection"),
        (pb.RunRequest(messages=[message()], collection="a\x00b"), "collection"),
        (pb.RunRequest(messages=[message()], collection="../etc"), "collection"),
        (filtered(Condition(field="title", any_of=["x"])), "filter"),
        (filtered(Condition(field="metadata.", any_of=["x"])), "filter"),
        (filtered(Condition(field="metadata.a")), "filter"),
        (filtered(Condition(field="metadata.a", any_of=["x"] * 257)), "filter"),
        (filtered(*[Condition(field="metadata.a", any_of=["x"])] * 25), "filter"),
        (pb.RunRequest(messages=[message()], filter=Filter(any=[Filter()] * 25)), "filter"),
        (pb.RunRequest(messages=[message()], filter=deep(5)), "filter"),
        (pb.RunRequest(messages=[message()], filter=Filter(any=[Filter(must=[Condition(field="x")])])), "filter"),
    ],
)
def test_what_is_malformed_is_refused_by_name(request_: pb.RunRequest, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        requests.ask(request_)
    assert caught.value.details["field"] == field
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("length", [1, 8192])
def test_the_longest_question(length: int) -> None:
    assert len(requests.ask(pb.RunRequest(messages=[message("語" * length)])).question) == length


CITATION = Citation("d", "T", "u", "p", Span(10, 14), "cats")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (Started("rag", "c"), "started"),
        (PassagesRetrieved(()), "passages"),
        (PassagesRetrieved((PassageReference("p", "d", "T", 0.5),), left_out_tokens=7), "passages"),
        (TextDelta(""), "text"),
        (CitationAdded(CITATION, Span(0, 4)), "citation"),
        (UsageReported(1, 2), "usage"),
        (Finished(FinishReason.STOP), "finished"),
    ],
)
def test_every_kind_of_event(body: object, kind: str) -> None:
    event = convert.event("run_x_1", Event(7, body, 12.25))  # type: ignore[arg-type]  # each is one of them
    assert (event.run_id, event.sequence, event.WhichOneof("event")) == ("run_x_1", 7, kind)
    assert (event.create_time.seconds, event.create_time.nanos) == (12, 250_000_000)


def test_a_usage_in_full() -> None:
    used = convert.usage(UsageReported(9, 7, 8, 5, 3))
    assert (used.prompt_tokens, used.completion_tokens, used.cached_tokens) == (9, 7, 8)
    assert (used.cost_nanos, used.reasoning_tokens) == (5, 3)


def test_a_citation_in_full() -> None:
    added = convert.event("r", Event(1, CitationAdded(CITATION, Span(3, 7)))).citation
    citation = added.citation
    assert (added.answer_span.start, added.answer_span.end) == (3, 7)
    assert (citation.document_id, citation.title, citation.uri, citation.passage_id) == ("d", "T", "u", "p")
    assert (citation.span.start, citation.span.end, citation.quote) == (10, 14, "cats")


def test_an_end_in_full() -> None:
    body = Finished(FinishReason.ERROR, "WHY", "so", 5, (Timing("hop", 1.5),))
    finished = convert.event("r", Event(1, body)).finished
    assert (finished.reason, finished.error_reason) == (run_pb2.FINISH_REASON_ERROR, "WHY")
    assert (finished.error_message, finished.error_code) == ("so", 5)
    assert finished.timings[0].duration.ToTimedelta().total_seconds() == 1.5


@pytest.mark.parametrize("over", [False, True])
def test_a_run(over: bool) -> None:
    info = RunInfo("r", "acme", "rag", "c", create_time=5.5)
    if over:
        info = RunInfo("r", "acme", "rag", "c", RunState.SUCCEEDED, FinishReason.STOP, 4, 5.5, 6.5, UsageReported(1, 2))
    made = convert.run(info)
    assert made.HasField("end_time") is over
    assert (made.state, made.finish_reason) == ((2, 1) if over else (1, 0))
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == ((1, 2) if over else (0, 0))


@pytest.mark.parametrize("time", [0.0, 1700000000.123456, 1e-9])
def test_a_page_token_comes_back(time: float) -> None:
    assert convert.page_start(convert.page_token(RunInfo("run_a_1", "t", "m", "c", create_time=time))) == (
        time,
        "run_a_1",
    )
    assert convert.page_start("") is None


@pytest.mark.parametrize(
    "token", ["x", "/", "x/run_a_1", "12", "12/", "nan/run_a_1", "inf/run_a_1", "\x00", "1/2/3\x00"]
)
def test_any_other_page_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument, match="page_token"):
        convert.page_start(token)
