"""Events as bytes and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.runs.codec import decode, encode
from services.orchestrator.runs.events import (
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
