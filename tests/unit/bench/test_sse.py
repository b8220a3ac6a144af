import json

import pytest

from bench.load.sse import Events, is_error, text_size, usage_of


@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize("line", ["\n", "\r\n"])
def test_events_may_come_in_any_pieces(step: int, line: str) -> None:
    wire = f": hello{line}{line}data: one{line}{line}data: two{line}{line}".encode()
    events = Events()
    found = [event for at in range(0, len(wire), step) for event in events.feed(wire[at : at + step])]
    assert found == [b"one", b"two"]


def test_an_event_is_not_there_before_its_end() -> None:
    events = Events()
    assert events.feed(b"data: half") == []
    assert events.feed(b" and half\n\n") == [b"half and half"]


@pytest.mark.parametrize(
    ("delta", "size"),
    [
        ({"role": "assistant", "content": ""}, 0),
        ({"content": "ab"}, 2),
        ({"content": 'a"b'}, 4),
        ({"content": None}, 0),
    ],
)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_text_is_measured_without_parsing(delta: dict[str, object], size: int, separators: tuple[str, str]) -> None:
    event = json.dumps({"choices": [{"delta": delta}]}, separators=separators).encode()
    assert text_size(event) == size


def test_usage_is_in_the_chunk_that_has_it() -> None:
    assert usage_of(b'{"choices":[],"usage":{"prompt_tokens":3}}') == {"prompt_tokens": 3}
    assert usage_of(b'{"choices":[{"delta":{"content":"x"}}],"usage":null}') is None
    assert usage_of(b"[DONE]") is None


def test_errors_are_told_from_text() -> None:
    assert is_error(b'{"error": {"message": "no"}}')
    assert not is_error(b'{"choices":[{"delta":{"content":"{\\"error\\": 1}"}}]}')
