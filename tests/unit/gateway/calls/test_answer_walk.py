"""What guards see of an answer and what is counted of it: all but the API's own, by its value."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.calls.bare_answer import HeldChunks
from gateway.guard.compile import compile_policy
from gateway.guard.pipeline import GuardPipeline
from gateway.guard.policy import parse
from gateway.guard.terms.library import Library
from services.llm.openai.chunks import Chunk, read
from services.llm.openai.usage import ChunkCounter
from services.llm.tokens import TokenTally
from tests.fakes.calls import WordScreen, delta

SECRET = "a secret here"
LONG = "word " * 800


def chunk(**said: Any) -> Chunk:
    return of(delta(None, **said))


def of(value: dict[str, Any]) -> Chunk:
    data = json.dumps(value).encode()
    return read(b"data: " + data, data)


def written(chunks: list[Chunk]) -> str:
    tally = TokenTally(())
    counter = ChunkCounter(tally)
    counter.count(chunks)
    return str(tally.counts.written)


HEAD = {"id": "chatcmpl-Ab1", "object": "chat.completion.chunk", "created": 1_730_000_000, "model": "gpt-small-2026"}
OWN: list[dict[str, Any]] = [
    HEAD,
    {**HEAD, "id": "0123456789abcdef0123456789abcdef", "system_fingerprint": "fp_44709d6fcb", "usage": None},
    {**HEAD, "id": "7c9e6679-7425-40de-944b-e07fc1f90ae7", "service_tier": "default"},
    {**HEAD, "model": "accounts/acme/models/llama-v3p1-8b", "created": 1_730_000_000_000},
    {**HEAD, "usage": {"prompt_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 1_000_000_000}}},
]


@pytest.mark.parametrize("head", OWN)
def test_what_is_the_apis_own_is_no_text(head: dict[str, Any]) -> None:
    for reason in (None, "stop", "length", "tool_calls"):
        one = of({**head, "choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": reason}]})
        assert one.parts == []


PLACES: list[dict[str, Any]] = [
    {"id": SECRET},
    {"id": {"x": SECRET}},
    {"object": SECRET},
    {"model": SECRET},
    {"created": SECRET},
    {"service_tier": SECRET},
    {"system_fingerprint": SECRET},
    {"usage": {"prompt_tokens": 1, "note": SECRET}},
    {"usage": {"prompt_tokens": SECRET}},
    {"usage": {"prompt_tokens_details": {"cached_tokens": 1, "more": [SECRET]}}},
    {"usage": {SECRET: 1}},
    {SECRET: None},
]
CHOICE: list[dict[str, Any]] = [
    {"finish_reason": SECRET},
    {"finish_reason": [SECRET]},
    {"finish_reason": {"why": SECRET}},
    {"stop_reason": SECRET},
    {"text": SECRET},
    {"index": SECRET},
    {SECRET: None},
    {"content_filter_results": {SECRET: {"filtered": False}}},
]


@pytest.mark.parametrize("more", [*PLACES, *({"choices": [{"index": 0, "delta": {}, **each}]} for each in CHOICE)])
def test_no_field_is_exempt_by_its_name(more: dict[str, Any]) -> None:
    value = {**HEAD, "choices": [{"index": 0, "delta": {"content": "x"}}], **more}
    assert "secret" in json.dumps(value)
    [event] = HeldChunks(WordScreen).take([of(value)], last=True)
    assert b"secret" not in event
    whole = json.loads(json.dumps(value).replace('"delta"', '"message"'))
    assert b"secret" not in HeldChunks(WordScreen).whole(of(whole))


@pytest.mark.parametrize(
    ("head", "part"),
    [
        ({"id": "AKIAIOSFODNN7EXAMPLE"}, "AKIAIOSFODNN7EXAMPLE"),
        ({"id": "chatcmpl-AKIAIOSFODNN7EXAMPLE"}, "chatcmpl-AKIAIOSFODNN7EXAMPLE"),
        ({"model": "4111111111111111"}, "4111111111111111"),
        ({"id": "jo@example.com"}, "jo@example.com"),
        ({"created": 4_111_111_111_111_111}, "4111111111111111"),
        ({"object": "falcon"}, "falcon"),
        ({"service_tier": "falcon"}, "falcon"),
    ],
)
def test_values_of_other_forms_are_texts(head: dict[str, Any], part: str) -> None:
    for _ in range(2):
        assert [each.text for each in of({**HEAD, **head, "choices": []}).parts] == [part]


@pytest.mark.parametrize(
    ("reason", "known"),
    [
        ("stop", "stop"), ("end_turn", "stop"), ("MAX_TOKENS", "length"), ("network_error", "length"),
        ("tool_use", "tool_calls"), ("SAFETY", "content_filter"), ("mail jo", "stop"), (["stop"], "stop"),
    ],
)  # fmt: skip
def test_an_end_is_called_as_openai_calls_it(reason: Any, known: str) -> None:
    chunk = of({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    assert (chunk.finish_reason, chunk.json["choices"][0]["finish_reason"], chunk.parts) == (known, known, [])


def per_character(*path: str | int) -> list[Chunk]:
    """A text at that path of a choice, a character a chunk."""
    chunks = []
    for letter in "so secret it":
        value: Any = letter
        for key in reversed(path):
            value = [value] if key == 0 else {str(key): value}
        chunks.append(of({**HEAD, "choices": [{"index": 0, **value}]}))
    return chunks


@pytest.mark.parametrize(
    "path",
    [
        ("delta", "tool_calls", 0, "function", "name"),
        ("delta", "tool_calls", 0, "custom", "name"),
        ("delta", "tool_calls", 0, "foo"),
        ("delta", "function_call", "name"),
        ("delta", "foo"),
        ("delta", "foo", "bar"),
        ("delta", "audio", "transcript"),
        ("delta", "reasoning_details", 0, "data"),
        ("text",),
        ("stop_reason",),
        ("foo", 0, "bar"),
    ],
)
def test_what_comes_a_character_at_a_time_is_one_text(path: tuple[str | int, ...]) -> None:
    screening = HeldChunks(WordScreen)
    events = [event for one in per_character(*path) for event in screening.take([one])]
    events += screening.take((), last=True)
    assert len(events) == 12
    assert "█".encode() in b"".join(events) or b"\\u2588" in b"".join(events)


def test_an_answer_does_not_wait_for_fields_beside_it() -> None:
    """Nor are those forgotten that go on between its pieces."""
    screening = HeldChunks(WordScreen)
    out = screening.take([chunk(foo="se"), chunk(content="It ")])
    assert len(out) == 2
    out = screening.take([chunk(foo="cret evil "), chunk(content="is ")])
    assert screening.blocked
    screening = HeldChunks(WordScreen)
    named = {"index": 0, "function": {"name": "look"}}
    out = screening.take([chunk(tool_calls=[named]), chunk(tool_calls=[{"index": 0, "function": {"arguments": "{ "}}])])
    assert len(out) == 2


def test_a_field_that_is_cut_between_the_pieces_of_an_answer_is_one_text() -> None:
    screening = HeldChunks(WordScreen)
    for letter in "so evil ":
        screening.take([chunk(foo=letter), chunk(content="It ")])
    assert screening.blocked


@pytest.mark.parametrize("name", ["note", "provider", "system_fingerprint", "object", "service_tier"])
@pytest.mark.parametrize("pieces", [("evil", " word"), ("e", "v", "il word"), ("so an evil wo", "rd it is")])
def test_a_field_beside_the_choices_that_is_cut_over_chunks_ends_the_answer(name: str, pieces: Sequence[str]) -> None:
    guards = {"guards": [{"guard": "terms", "stage": "output", "action": "redact", "terms": ["evil word"]}]}
    compiled = compile_policy(parse(json.dumps(guards)), Library(None))
    screening = HeldChunks(GuardPipeline(compiled, None).output)
    for piece in pieces:
        assert screening.blocked is None
        screening.take([of({**delta(None, content="It "), name: piece})])
    assert screening.blocked is not None
    screening = HeldChunks(GuardPipeline(compiled, None).output)
    for _ in range(3):
        screening.take([of({**delta(None, content="It "), name: "word evil "})])
    assert screening.blocked is None


def test_what_is_the_same_in_each_chunk_costs_nothing() -> None:
    made: list[WordScreen] = []

    def screen() -> WordScreen:
        made.append(WordScreen())
        return made[-1]

    screening = HeldChunks(screen)
    safe = {"hate": {"filtered": False, "severity": "safe"}, "violence": {"filtered": False, "severity": "safe"}}
    for _ in range(200):
        value = delta(None, content="a ")
        value["choices"][0]["content_filter_results"] = safe
        assert len(screening.take([of(value)])) == 1
    assert len(made) < 24


COUNTED: list[dict[str, Any]] = [
    {"delta": {"foo": LONG}},
    {"delta": {LONG: 1}},
    {"delta": {"content": [{"type": "foo", "foo": LONG}]}},
    {"delta": {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": {"a": LONG}}}]}},
    {"delta": {"tool_calls": [{"index": 0, "foo": LONG}]}},
    {"delta": {"tool_calls": [{"index": 0, "id": LONG}]}},
    {"delta": {"annotations": [{"title": LONG}]}},
    {"delta": {"role": LONG}},
    {"delta": {"reasoning_details": [{"type": "reasoning.text", "data": LONG}]}},
    {"text": LONG},
    {"logprobs": {"content": [{"token": LONG}]}},
    {"logprobs": {"content": [{"token": "x", "top_logprobs": [{"token": LONG}]}]}},
    {"logprobs": {"foo": [LONG]}},
    {"logprobs": {"tokens": LONG.split(" ")}},
]


@pytest.mark.parametrize(
    "value",
    [*({"choices": [{"index": 0, **each}]} for each in COUNTED), {"usage": {"note": LONG}}, {"id": LONG}, {LONG: 1}],
    ids=lambda value: json.dumps(value)[:60],
)
def test_all_that_goes_out_is_counted(value: dict[str, Any]) -> None:
    assert 790 <= int(written([of({**HEAD, **value})])) <= 1100


def test_what_is_sealed_is_counted() -> None:
    details = [{"type": "reasoning.encrypted", "data": "A" * 4000}]
    assert written([chunk(reasoning_details=details)]) == "505"
    assert written([chunk(images=[{"image_url": {"url": "data:image/png;base64,AAAA"}}])]) == "1002"


def test_what_is_repeated_is_counted_once() -> None:
    value = {
        **HEAD,
        "id": "my own id",
        "provider": "somebody",
        "choices": [{"index": 0, "delta": {"role": "assistant"}}],
    }
    assert written([of(value)] * 50) == written([of(value)])
    logprobs = {"content": [{"token": "abcd", "bytes": [97], "top_logprobs": [{"token": "efgh"}] * 20}]}
    plain = delta(None, content="abcd")
    with_them = delta(None, content="abcd")
    with_them["choices"][0]["logprobs"] = logprobs
    assert written([of(with_them)] * 9) == written([of(plain)] * 9) == "9"


def test_a_report_is_believed_though_it_leaves_out_what_stands_beside() -> None:
    tally = TokenTally(("hello",))
    ChunkCounter(tally).count(
        [of({"choices": [{"delta": {"content": "OK", "foo": "bar " * 30}}], "provider": "x y z"})]
    )
    tally.report({"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6})
    assert (tally.counts.written, tally.estimated) == (1, False)


@pytest.mark.parametrize(
    ("token", "loose"),
    [
        ({"token": "x", "logprob": -1.0, "bytes": [120], "top_logprobs": []}, False),
        ({"token": "x", "logprob": -1.0, "bytes": None}, False),
        ({"token": "x", "logprob": -1.0, "bytes": list(b"AKIAIOSFODNN7EXAMPLE")}, True),
        ({"token": "x", "logprob": -1.0, "top_logprobs": [{"token": "falcon", "logprob": -2.0}]}, True),
        ({"token": "x", "logprob": -1.0, "foo": "falcon"}, True),
        ({"token": "x", "logprob": "falcon"}, True),
    ],
)
def test_probabilities_that_say_more_than_the_text_are_loose(token: dict[str, Any], loose: bool) -> None:
    value = delta(None, content="x")
    value["choices"][0]["logprobs"] = {"content": [token]}
    one = of(value)
    assert (list(one.stray), bool(one.loose)) == ([], loose)


@pytest.mark.parametrize(
    ("choices", "most"),
    [
        ([{"index": 0}], 1),
        ([{"index": 1}], 2),
        ([{"index": 0}, {"index": 0}], 2),
        ([{}, {}], 2),
        ([{"index": -3}], 4),
        ([{"index": 10**18}], 10**18 + 1),
    ],
)
def test_choices_are_counted_by_their_indexes(choices: list[dict[str, Any]], most: int) -> None:
    assert of({"choices": choices}).choices == most
