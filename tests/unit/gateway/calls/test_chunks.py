"""Chunks held back until their text is decided."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.calls.bare_answer import HeldChunks
from services.llm.openai.chunks import Chunk, read
from tests.fakes.calls import WordScreen, delta, screened

WORDS = st.lists(st.sampled_from(["a", "secret", "bb", "secrets", "evil", "evils", "é"]), max_size=12)


def chunk(finish: str | None = None, **said: Any) -> Chunk:
    data = json.dumps(delta(finish, **said)).encode()
    return read(b"data: " + data, data)


def said(events: list[bytes], key: str = "content") -> str:
    deltas = [json.loads(event.removeprefix(b"data: "))["choices"][0]["delta"] for event in events]
    return "".join(one.get(key) or "" for one in deltas)


def cut(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[start:end] for start, end in pairwise(places)]


@settings(deadline=None)
@given(WORDS, st.lists(st.integers(0, 99), max_size=9), st.lists(st.integers(0, 9), max_size=5), st.booleans())
def test_what_goes_out_does_not_depend_on_how_it_comes(
    words: list[str], cuts: list[int], batches: list[int], last: bool
) -> None:
    text = " ".join(words)
    chunks = [chunk(content=piece) for piece in cut(text, cuts)]
    screening = HeldChunks(WordScreen)
    out: list[bytes] = []
    for size in [*batches, len(chunks)]:
        if not screening.blocked and chunks:
            out += screening.take(chunks[:size], last=last and size >= len(chunks))
            del chunks[:size]
    if not screening.blocked:
        out += screening.take((), last=True)
    assert said(out) == screened(text)
    assert (screening.blocked is not None) == ("evil" in words)


def test_a_chunk_that_is_let_through_keeps_its_bytes() -> None:
    chunks = [chunk(content="one "), chunk(content="two", extra=1), chunk("stop", content=" three")]
    screening = HeldChunks(WordScreen)
    first = screening.take(chunks)
    assert first == [chunks[0].raw, chunks[1].raw]
    assert first + screening.take((), last=True) == [one.raw for one in chunks]


def test_log_probabilities_go_with_what_was_changed() -> None:
    value = delta(content="secret ")
    value["choices"][0]["logprobs"] = {"content": [{"token": "secret"}]}
    data = json.dumps(value).encode()
    [event] = HeldChunks(WordScreen).take([read(b"data: " + data, data)])
    assert b"secret" not in event


def test_texts_of_different_kinds_are_screened_apart() -> None:
    calls = [{"index": 0, "function": {"name": "f", "arguments": 'cret "'}}]
    screening = HeldChunks(WordScreen)
    out = screening.take([chunk(content="se"), chunk(tool_calls=calls), chunk(reasoning_content="the secret is")])
    assert out == []
    out = screening.take((), last=True)
    assert said(out) == "se"
    assert said(out, "reasoning_content") == "the █ is"
    assert json.loads(out[1].removeprefix(b"data: "))["choices"][0]["delta"]["tool_calls"] == calls


def test_what_comes_after_a_block_is_dropped() -> None:
    screening = HeldChunks(WordScreen)
    out = screening.take([chunk(content="good e"), chunk(content="vil "), chunk(content="more ")])
    assert screening.blocked
    assert said(out) == "good "


def test_an_answer_cut_short_did_not_stop_by_itself() -> None:
    screening = HeldChunks(WordScreen)
    [event] = screening.take([chunk("stop", content="good evil ")])
    assert json.loads(event.removeprefix(b"data: "))["choices"][0]["finish_reason"] is None


def test_many_changes_cost_no_more_each() -> None:
    screening = HeldChunks(WordScreen)
    out: list[bytes] = []
    for _ in range(3000):
        out += screening.take([chunk(content="secret ")])
    assert said(out) == "█ " * 3000
    assert not any(text.rest() for text in screening._texts.values())
