"""Chunks held back until their text is decided."""

import json
from itertools import pairwise
from typing import Any

import pytest
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


def choices(*said: tuple[int, str], **more: Any) -> Chunk:
    value = {"id": "c1", "choices": [{"index": at, "delta": {"content": text}} for at, text in said], **more}
    data = json.dumps(value).encode()
    return read(b"data: " + data, data)


def of_choice(events: list[bytes], index: int) -> str:
    values = [json.loads(event.removeprefix(b"data: ")) for event in events]
    return "".join(each["delta"]["content"] for one in values for each in one["choices"] if each["index"] == index)


@pytest.mark.parametrize("together", [True, False])
def test_choices_do_not_share_a_text(together: bool) -> None:
    """Neither hides a word of the other's, and none is made of two."""
    pieces = [(0, "se"), (1, "cret "), (0, "cret "), (1, "se"), (0, "a se"), (1, "cret "), (0, "cret ")]
    chunks = [choices(*pieces)] if together else [choices(piece) for piece in pieces]
    screening = HeldChunks(WordScreen)
    out = screening.take(chunks) + screening.take((), last=True)
    assert of_choice(out, 0) == "█ a █ "
    assert of_choice(out, 1) == "cret █ "


SECRET = "my secret here"
PLACES: list[dict[str, Any]] = [
    {"content": [{"type": "text", "text": "my se"}, {"type": "text", "text": "cret here"}]},
    {"content": ["my se", "cret here"]},
    {"refusal": SECRET},
    {"reasoning_content": SECRET},
    {"reasoning": {"text": SECRET}},
    {"reasoning_details": [{"type": "reasoning.text", "text": SECRET}, {"summary": SECRET}]},
    {"audio": {"id": "a", "transcript": SECRET}},
    {"annotations": [{"type": "url_citation", "url_citation": {"url": "http://x", "title": SECRET}}]},
    {"tool_calls": [{"index": 0, "id": SECRET, "function": {"name": SECRET, "arguments": SECRET}}]},
    {"tool_calls": [{"index": 0, "type": "function", "function": {"name": "f", "arguments": {"to": [SECRET]}}}]},
    {"tool_calls": [{"index": 0, "type": "custom", "custom": {"name": "g", "input": SECRET}}]},
    {"tool_calls": [{"index": 0, "type": SECRET}]},
    {"function_call": {"name": SECRET, "arguments": SECRET}},
    {"name": SECRET, "role": SECRET},
    {"unheard of": {SECRET: [[SECRET]]}},
    {SECRET: SECRET},
]  # fmt: skip


@pytest.mark.parametrize("message", PLACES, ids=lambda message: next(iter(message)))
@pytest.mark.parametrize("key", ["delta", "message"])
def test_every_text_of_an_answer_is_screened(message: dict[str, Any], key: str) -> None:
    data = json.dumps({"id": "c1", "choices": [{"index": 0, key: message, "finish_reason": None}]}).encode()
    screening = HeldChunks(WordScreen)
    if key == "delta":
        [event] = screening.take([read(b"data: " + data, data)], last=True)
    else:
        event = screening.whole(read(data, data))
    said = json.loads(event.removeprefix(b"data: "))["choices"][0][key]
    assert "secret" not in "".join(texts_of(said))
    assert "█" in "".join(texts_of(said))


def texts_of(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for each in pair for text in texts_of(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts_of(each)]
    return [str(value)]


@pytest.mark.parametrize(
    "more",
    [
        {"provider": SECRET},
        {"citations": ["http://x", SECRET]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": None, "stop_reason": SECRET}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": f"{SECRET} {SECRET} {SECRET}"}]},
    ],
)
def test_texts_beside_the_message_are_screened(more: dict[str, Any]) -> None:
    data = json.dumps({"id": "c1", "choices": [], **more}).encode()
    for event in (
        HeldChunks(WordScreen).take([read(data, data)], last=True)[0],
        HeldChunks(WordScreen).last(read(data, data)),
    ):
        assert b"secret" not in event


def test_what_is_repeated_in_every_chunk_is_screened_once() -> None:
    made: list[WordScreen] = []

    def screen() -> WordScreen:
        made.append(WordScreen())
        return made[-1]

    screening = HeldChunks(screen)
    chunks = [choices((0, "a "), provider="somebody") for _ in range(100)]
    assert b"".join(screening.take([one])[0] for one in chunks) == b"".join(one.raw for one in chunks)
    assert len(made) < 8
    assert b"secret" not in screening.take([choices((0, "a "), provider="secret")])[0]


TOKENS: list[tuple[dict[str, Any], list[str], bool]] = [
    ({"content": "the se"}, ["the ", "se"], False),
    ({"content": "the "}, ["the ", "se"], True),
    ({"content": ""}, ["cret"], True),
    ({}, ["cret"], True),
    ({"content": " the"}, ["the"], False),
    ({"refusal": "no"}, ["no"], False),
    ({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}, ["{}"], False),
]


@pytest.mark.parametrize(("said", "tokens", "stray"), TOKENS)
def test_probabilities_of_other_texts_are_stray(said: dict[str, Any], tokens: list[str], stray: bool) -> None:
    """What is done about a text is done about those of its own tokens; of others nothing is known."""
    value = delta(**said)
    choice = value["choices"][0]
    value["choices"][0] = {"logprobs": {"content": [{"token": token} for token in tokens]}, **choice}
    data = json.dumps(value).encode()
    assert bool(read(data, data).stray) == stray


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ({"audio": {"data": "A" * 80, "transcript": "x"}}, "message.audio.data"),
        ({"content": [{"type": "audio", "url": "data:audio/wav;base64,AAAA"}]}, "message.content[0].url"),
        (
            {"content": [{"type": "file", "file": {"file_data": "data:text/plain;base64,AAAA"}}]},
            "message.content[0].file.file_data",
        ),
        ({"content": "x", "token_ids": [1, 2]}, "message.token_ids"),
        ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "A" * 80}]}, ""),
        ({"images": [{"image_url": {"url": "data:image/png;base64,AAAA"}}]}, ""),
    ],
)
def test_what_is_no_text_is_told(message: dict[str, Any], path: str) -> None:
    assert chunk(**message).unread == path


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_an_answer_does_not_wait_for_the_last_word_of_a_thought(key: str) -> None:
    screening = HeldChunks(WordScreen)
    out = screening.take(
        [chunk(**{key: "so the"}), chunk(**{key: " secret"}), chunk(content="It "), chunk(content="is")]
    )
    assert (said(out, key), said(out)) == ("so the █", "It ")


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["reasoning", "content"]), st.sampled_from(["a ", "secret ", "b", " "])), max_size=12
    ),
    st.lists(st.integers(1, 4), max_size=6),
)
def test_a_thought_may_go_on_between_answers(pieces: list[tuple[str, str]], batches: list[int]) -> None:
    """Nothing is lost, nothing said twice, and the answer is what it is alone."""
    chunks = [chunk(**{key: text}) for key, text in pieces]
    screening, out = HeldChunks(WordScreen), list[bytes]()
    for size in [*batches, len(chunks)]:
        out += screening.take(chunks[:size])
        del chunks[:size]
    out += screening.take((), last=True)
    texts = {key: "".join(text for each, text in pieces if each == key) for key in ("reasoning", "content")}
    assert said(out) == screened(texts["content"])
    letters = "".join(text for each, text in pieces if each == "reasoning" for text in text.split())
    assert "".join(said(out, "reasoning").replace("█", "secret").split()) == letters


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
