"""Chunks that are like one before but for their text are read as they would be by themselves."""

from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from services.llm.openai import chunks
from services.llm.openai.alike import AlikeChunks
from services.llm.openai.chunks import Chunk

HEAD = {"id": "chatcmpl-1f2e3d", "object": "chat.completion.chunk", "created": 1700000000, "model": "m"}
TEXTS = [
    "Hello",
    " world",
    'say "no"',
    "a\\",
    "\n",
    "水",
    "\U0001f600",
    '","finish_reason":"stop',
    "}",
    "null",
    "x" * 5000,
]


def chunk(text: str | None, key: str = "content", more: dict[str, object] | None = None, **choice: object) -> bytes:
    delta = {key: text} | (more or {})
    return orjson.dumps(HEAD | {"choices": [{"index": 0, "delta": delta, "finish_reason": None} | choice]})


def spaced(text: str | None) -> bytes:
    return chunk(text).replace(b'"content":"', b'"content": "').replace(b'"id":', b'"id" : ')


def read(data: bytes) -> Chunk:
    return chunks.read(b"data: " + data, data)


def same(one: Chunk, other: Chunk) -> bool:
    """Also once each is written with its text."""
    said = [[(part.key, part.text, part.channel, part.counted) for part in each.parts] for each in (one, other)]
    for each in (one, other):
        each.parts[0].put(each.parts[0].text)
    rest = [replace(each, parts=[]) for each in (one, other)]
    return said[0] == said[1] and rest[0] == rest[1] and orjson.dumps(one.json) == orjson.dumps(other.json)


def as_it_is(chunk: Chunk) -> None:
    """Nothing is done to a chunk."""


def learned(data: bytes) -> AlikeChunks:
    alike = AlikeChunks()
    alike.learn(data, read(data), as_it_is)
    return alike


def thought(text: str | None) -> bytes:
    return chunk(text, "reasoning_content")


def first(text: str | None) -> bytes:
    return chunk(text, more={"role": "assistant"})


@pytest.mark.parametrize("form", [chunk, spaced, thought, first])
@pytest.mark.parametrize("text", TEXTS)
def test_another_text_is_read_as_by_itself(form: Callable[[str], bytes], text: str) -> None:
    alike = learned(form("first"))
    found = alike.read(b"data: " + form(text), form(text))
    assert found is not None
    assert same(found, read(form(text)))


@pytest.mark.parametrize(
    "other",
    [
        chunk("next", finish_reason="stop"),
        chunk("next", index=1),
        chunk("next", more={"refusal": "no"}),
        chunk("next", key="refusal"),
        chunk(""),
        chunk(None),
        chunk("next", logprobs={"content": [{"token": "next", "logprob": 0.0}]}),
        orjson.dumps(HEAD | {"id": "chatcmpl-another", "choices": [{"index": 0, "delta": {"content": "a"}}]}),
        chunk("next").replace(b'"next"', b"5"),
        chunk("next").replace(b'"next"', b'["next"]'),
        chunk("next").replace(b'"next"', b'"next","refusal":"no"'),
        chunk("next").replace(b'"next"', b'"next'),
        chunk("next").replace(b'"next"', b'"\\ud800"'),
        chunk("next")[:-1],
        chunk("next")[: -len(b'"finish_reason":null}]}')] + b"}]}",
        b"",
    ],
)  # fmt: skip
def test_what_differs_in_more_than_its_text_is_not_alike(other: bytes) -> None:
    assert learned(chunk("first")).read(b"data: " + other, other) is None


@pytest.mark.parametrize(
    "data",
    [
        chunk("a", finish_reason="stop"),
        chunk("a", more={"name_of_mine": "b"}),
        chunk("a", logprobs={"content": [{"token": "a", "logprob": 0.0}]}),
        chunk("a", more={"tool_calls": []}),
        chunk("a", key="my_field"),
        chunk(""),
        orjson.dumps(HEAD | {"choices": [], "usage": {"prompt_tokens": 1}}),
        orjson.dumps(HEAD | {"choices": [{"index": 0, "delta": {"content": "a"}}], "usage": {"prompt_tokens": 1}}),
        orjson.dumps(HEAD | {"choices": [{"index": place, "delta": {"content": "a"}} for place in range(2)]}),
        orjson.dumps(HEAD | {"choices": [{"index": 0, "delta": {"content": [{"type": "text", "text": "a"}]}}]}),
    ],
)
def test_only_what_has_one_text_and_nothing_else_is_learned(data: bytes) -> None:
    assert learned(data).read(b"data: " + data, data) is None


def test_what_has_a_name_twice_is_not_learned() -> None:
    twice = b'{"choices":[{"delta":{"content":"a"},"index":0,"delta":{"content":"a"}}]}'
    assert learned(twice).read(b"data: " + twice, twice) is None


def test_the_place_is_that_of_the_text() -> None:
    data = orjson.dumps({"id": '"content":"a"', "choices": [{"index": 0, "delta": {"content": "a"}}]})
    other = data.replace(b'"content":"a"}', b'"content":"b"}')
    found = learned(data).read(b"data: " + other, other)
    assert found is None or same(found, read(other))


def test_an_upstream_whose_chunks_all_differ_is_given_up() -> None:
    alike = AlikeChunks()
    alike.learn(refused := chunk("a", more={"x": 1}), read(refused), as_it_is)  # what cannot be learned is no try
    for number in range(5):
        head = HEAD | {"system_fingerprint": f"fp_{number}"}
        data = orjson.dumps(head | {"choices": [{"index": 0, "delta": {"content": "a"}}]})
        alike.learn(data, read(data), as_it_is)
    assert alike.read(b"data: " + data, data) is None


def test_each_is_written_with_its_own_text() -> None:
    alike = learned(chunk("first"))
    found = [alike.read(b"data: " + chunk(text), chunk(text)) for text in ("a", "b")]
    for text in ("b", "a"):
        one = found[text == "b"]
        assert one is not None
        one.parts[0].put(text)
        assert orjson.dumps(one.json) == chunk(text)
