"""Events as bytes and back."""

import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.llm.chat import Form, Message, ResponseFormat, Role
from services.orchestrator import convert
from services.orchestrator.domain.document_filter import Condition, DocumentFilter
from services.orchestrator.domain.event import (
    ApprovalDecided,
    ApprovalKind,
    ApprovalRequested,
    Body,
    Citation,
    CitationAdded,
    ContextTrimmed,
    Event,
    Finished,
    FinishReason,
    PassageReference,
    PassagesRetrieved,
    ReasoningDelta,
    Span,
    Started,
    StepFinished,
    StepKind,
    StepStarted,
    TextDelta,
    Timing,
    ToolCallBegun,
    ToolCallRequested,
    ToolResultReceived,
    TrimmedResult,
    UsageReported,
    VerdictGiven,
)  # fmt: skip
from services.orchestrator.domain.tool import Declaration, Reason, ToolCall, ToolResult
from services.orchestrator.runs.agent import RunInput
from services.orchestrator.runs.codec import (
    decode,
    decode_all,
    decode_ask,
    decode_messages,
    encode,
    encode_ask,
    encode_message,
)

texts = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.integers(0, 2**31 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
spans = st.builds(Span, numbers, numbers)
bodies = st.one_of(
    st.builds(Started, texts, texts),
    st.builds(
        PassagesRetrieved, st.lists(st.builds(PassageReference, texts, texts, texts, floats), max_size=5).map(tuple)
    ),
    st.builds(TextDelta, texts),
    st.builds(CitationAdded, st.builds(Citation, texts, texts, texts, texts, spans, texts), spans),
    st.builds(UsageReported, numbers, numbers),
    st.builds(
        Finished,
        st.sampled_from(FinishReason),
        texts,
        texts,
        st.integers(0, 16),
        st.lists(st.builds(Timing, texts, floats), max_size=5).map(tuple),
    ),
)


@given(st.lists(st.builds(Event, numbers, bodies, floats), max_size=8))
def test_events_come_back_as_they_were(events: list[Event]) -> None:
    assert decode(encode(events)) == events


@pytest.mark.parametrize("data", [b'[[1, 0.5, "Nothing", {}]]', b"not json", b"[[1, 0.5]]"])
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode(data)


CALL = ToolCall("c1", "search", '{"q": 1}')
OTHERS: list[Body] = [
    ReasoningDelta("hm"),
    Started("a", "c", 3, "s"),
    StepStarted(1, StepKind.RETRIEVE),
    StepFinished(1, StepKind.GENERATE, "m", UsageReported(1, 2, 3, 4), 0.5, 0.25, "text", "stop", 0.75),
    ToolCallRequested(CALL, 1, True),
    ToolCallBegun("c1"),
    ContextTrimmed((TrimmedResult("c1", 0), TrimmedResult("c2", 40)), 2, 5000),
    VerdictGiven("grounded", False, 0.0, "no verdict", 1, (), True),
    ToolResultReceived(ToolResult("c1", "search", "no", True, Reason.TIMEOUT, 1.5, 2, True)),
    VerdictGiven("grounded", False, 0.5, "why", 2, ("one", "two")),
    ApprovalRequested("a1", ApprovalKind.TOOL_CALL, "may I?", CALL, "", 12.5),
    ApprovalDecided("a1", True, "me", "fine", "instead"),
    Finished(FinishReason.LIMIT, limit="steps"),
]


@pytest.mark.parametrize("body", OTHERS, ids=lambda body: type(body).__name__)
def test_every_kind_comes_back_as_it_was(body: Body) -> None:
    (event,) = decode(encode([Event(1, body, 1.0)]))
    assert event == Event(1, body, 1.0)
    assert convert.event("r", event).WhichOneof("event")


def test_an_ask_comes_back_as_it_was() -> None:
    messages = (Message(Role.ASSISTANT, "", (CALL,)), Message(Role.TOOL, "r", (), "c1", "search"))
    form = ResponseFormat(Form.JSON_SCHEMA, "answer", {"type": "object"})
    asked = RunInput(
        messages,
        "c",
        1,
        2,
        (Declaration("f", "d", {"type": "object"}),),
        response_format=form,
        session_id="s",
        filter=DocumentFilter((Condition("metadata.a", ("x", "y")),), (Condition("document_id", ("d",)),)),
    )
    assert decode_ask(encode_ask(asked)) == asked


@pytest.mark.parametrize(("rows", "apart"), [(3, False), (2000, True)])
async def test_much_is_decoded_apart_from_the_loop(rows: int, apart: bool) -> None:
    messages = [Message(Role.USER, f"question {number}") for number in range(rows)]
    threads: set[int] = set()

    def decoder(data: Sequence[bytes]) -> list[Message]:
        threads.add(threading.get_ident())
        return decode_messages(data)

    assert await decode_all(decoder, [encode_message(message) for message in messages]) == messages
    assert (threading.get_ident() not in threads) == apart
