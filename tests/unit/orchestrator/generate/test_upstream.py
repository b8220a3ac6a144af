"""Events out of bytes, and lengths out of an upstream's words."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from services.orchestrator.generate.sse import EventReader, EventTooLong
from services.runtime.upstreams import retry_after

from services.llm.catalogue.entry import Engine, Entry
from services.orchestrator.generate import upstream_errors

ENTRY = Entry("small", Engine.OPENAI, model="small-2026")
STREAM = b": hi\r\ndata: one\n\nevent: x\ndata: two\ndata: more\r\n\r\n\n\ndata:three\n\n"


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_events_do_not_depend_on_how_they_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    reader = EventReader()
    found = [event for start, end in pairwise(edges) for event in reader.feed(STREAM[start:end])]
    assert [*found, *reader.end()] == [b"one", b"two\nmore", b"three"]


@pytest.mark.parametrize("portions", [[b"x" * 11], [b"data: 1\n", b"data: 2\n"], [b"data: ", b"1234567"]])
def test_an_event_has_a_longest(portions: list[bytes]) -> None:
    reader = EventReader(longest=10)
    *fitting, last = portions
    for portion in fitting:
        assert list(reader.feed(portion)) == []
    with pytest.raises(EventTooLong):
        list(reader.feed(last))


@pytest.mark.parametrize(
    ("message", "prompt", "limit"),
    [
        (
            "This model's maximum context length is 2048 tokens. However, your prompt contains at least 2049 input "
            "tokens, which exceeds this limit even without any output tokens.",
            "2049", "2048",
        ),
        (
            "This model's maximum context length is 4097 tokens. However, your messages resulted in 5000 tokens.",
            "5000", "4097",
        ),
        (
            "This model's maximum context length is 4097 tokens, however you requested 5000 tokens (4000 in the "
            "messages, 1000 in the completion).",
            "4000", "4097",
        ),
        ("the request exceeds the available context size, context window 512", None, "512"),
        ("prompt is too long", None, None),
    ],
)  # fmt: skip
def test_both_lengths_are_told(message: str, prompt: str | None, limit: str | None) -> None:
    error = upstream_errors.answered(ENTRY, 400, {}, b'{"error": {"message": "%s"}}' % message.encode())
    assert error.reason == "CONTEXT_TOO_LONG"
    assert (error.details.get("prompt_tokens"), error.details.get("context_length")) == (prompt, limit)
    assert all(length in error.message for length in (prompt, limit) if length)


@pytest.mark.parametrize("body", [b"", b"3", b"[]", b"null", b'{"error": null}', b'{"error": 3}', b"\xff", b'"x"'])
@pytest.mark.parametrize("status", [400, 404, 418, 429, 500, 599])
def test_any_body_will_do(status: int, body: bytes) -> None:
    assert upstream_errors.answered(ENTRY, status, {}, body).message


def test_a_date_says_when_to_come_back() -> None:
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after({"retry-after": "Fri, 31 Dec 2999 23:59:59 GMT"}) == 3600
    assert retry_after({"retry-after": "nan"}) is None
