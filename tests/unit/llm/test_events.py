"""Server-sent events out of portions."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.llm.sse import EventReader, EventTooLong, data_of

EVENTS = [b'data: {"a": 1}', b": comment", b"event: x\ndata: one\ndata: two", b"data: [DONE]"]


def read(portions: list[bytes]) -> list[bytes]:
    reader = EventReader()
    return [event for portion in portions for event in reader.feed(portion)] + reader.end()


@settings(deadline=None)
@given(st.lists(st.integers(0, 200), max_size=8), st.sampled_from([b"\n", b"\r\n", b"\r"]), st.booleans())
def test_events_do_not_depend_on_how_they_come(cuts: list[int], end: bytes, closed: bool) -> None:
    data = (b"\n\n".join(EVENTS) + (b"\n\n" if closed else b"")).replace(b"\n", end)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert read([data[a:b] for a, b in pairwise(places)]) == EVENTS


def test_an_event_without_end_is_refused() -> None:
    reader = EventReader(longest=10)
    assert reader.feed(b"0123456789") == []
    with pytest.raises(EventTooLong):
        reader.feed(b"x")


@pytest.mark.parametrize(
    ("event", "data"), list(zip(EVENTS, [b'{"a": 1}', b"", b"one\ntwo", b"[DONE]"], strict=True)), ids=str
)
def test_the_data_of_an_event(event: bytes, data: bytes) -> None:
    assert data_of(event) == data


STREAM = b": hi\r\ndata: one\n\nevent: x\ndata: two\ndata: more\r\n\r\n\n\ndata:three\n\n"


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_the_data_does_not_depend_on_how_it_is_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    reader = EventReader()
    found = [event for start, end in pairwise(edges) for event in reader.feed(STREAM[start:end])]
    data = [data_of(event) for event in [*found, *reader.end()]]
    assert [one for one in data if one] == [b"one", b"two\nmore", b"three"]


@pytest.mark.parametrize("portions", [[b"x" * 11], [b"data: 1\n", b"data: 2\n"], [b"data: ", b"1234567"]])
def test_an_event_has_a_longest(portions: list[bytes]) -> None:
    reader = EventReader(longest=10)
    *fitting, last = portions
    for portion in fitting:
        assert list(reader.feed(portion)) == []
    with pytest.raises(EventTooLong):
        list(reader.feed(last))
