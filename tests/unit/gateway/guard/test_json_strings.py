"""What is cut over the strings of one JSON, or over the texts of one list, is found."""

import json
from itertools import pairwise

import pytest

from gateway.guard.compile import compile_policy
from gateway.guard.json_strings import strings_of
from gateway.guard.pipeline import GuardPipeline
from gateway.guard.policy import parse
from gateway.guard.terms.library import Library

POLICY = """
guards:
  - {guard: pii, stage: [input, context, output], action: redact}
  - {guard: secrets, stage: [input, context, output], action: redact}
  - {guard: terms, stage: [input, context, output], action: redact, terms: [projectfalcon, "two words"]}
  - {guard: links, stage: output, action: redact, allowed: [example.com]}
"""
PIPELINE = GuardPipeline(compile_policy(parse(POLICY), Library(None)), None)
CUT = [
    ["4111 ", "1111 1111 1111"],
    ["4111 1111", "1111 1111"],
    ["4111", "1111", "1111", "1111"],
    ["AKIAIOSF", "ODNN7EXAMPLE"],
    ["AKIA", "IOSF", "ODNN7", "EXAMPLE"],
    ["jo@exam", "ple.com"],
    ["project", "falcon"],
    ["the pro", "ject", "falcon"],
    ["two ", "words"],
]
FORMS = [
    lambda cut: cut,
    lambda cut: [[text] for text in cut],
    lambda cut: dict(zip("abcdefgh", cut, strict=False)),
    lambda cut: [{"text": text} for text in cut],
    lambda cut: {"rows": [["x" * 300, 12], cut]},
    lambda cut: {"a": {"b": cut[:1]}, "c": [1, True, None, *cut[1:]]},
]
WHOLE = ("4111", "1111", "AKIA", "ODNN7", "ple.com", "falcon", "words")


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cut", CUT, ids=repr)
async def test_what_is_cut_over_strings_is_found(cut: list[str], form: object, indent: int | None) -> None:
    if len(cut) > 3 and "AKIA" in cut and form is FORMS[4]:
        pytest.skip("of more than two strings the edges are those of all")
    assert callable(form)
    text = json.dumps(form(cut), indent=indent)
    (on_input,) = (await PIPELINE.screen_input([text])).texts
    (context,) = (await PIPELINE.screen_context([text])).texts
    whole = PIPELINE.output().whole(text).text
    one = PIPELINE.output()
    pieces = "".join([*(one.feed(piece).text for piece in text), one.finish().text])
    assert pieces == whole
    for said in (on_input, context, whole):
        json.loads(said)
        assert not any(part in said for part in WHOLE)


@pytest.mark.parametrize(
    "value",
    [
        ["at 4111", "1111 of them"],
        {"4111 ": "1111 1111 1111"},
        {"project": "falcon"},
        ["Hello world.", "me too"],
        ["a bad", 4111, "word"],
        {"from": "2024-01-02", "to": "2024-02-03", "n": [1, 2, 3]},
    ],
    ids=repr,
)
async def test_what_stands_beside_each_other_is_no_finding(value: object) -> None:
    text = json.dumps(value)
    assert (await PIPELINE.screen_input([text])).texts == [text]
    assert PIPELINE.output().whole(text).text == text


async def test_strings_of_several_texts_are_not_joined() -> None:
    texts = ['["4111 1111 "]', '["1111 1111"]', '["project', 'falcon"]', '{"a": "4111 1111 1111 1111"}']
    assert (await PIPELINE.screen_input(texts)).texts == [*texts[:4], '{"a": "<CARD_1>"}']


def test_the_last_word_does_not_wait_for_ever() -> None:
    one = PIPELINE.output()
    text = json.dumps({"city": "Paris", "points": list(range(1000))})
    assert len("".join(one.feed(text[start:end]).text for start, end in pairwise(range(0, 1200, 50)))) > 700


@pytest.mark.parametrize("cut", CUT, ids=repr)
async def test_what_is_cut_over_a_list_is_found(cut: list[str]) -> None:
    texts = ["between", *cut]
    if cut == ["4111 1111", "1111 1111"]:
        texts[1] += " "
    assert (await PIPELINE.screen_input(texts)).texts == texts
    said = (await PIPELINE.screen_input(texts, lists=[range(1, len(texts))])).texts
    assert said[0] == "between"
    assert not any(part in "".join(said) for part in WHOLE)


def test_names_are_no_strings() -> None:
    text = '```json\n{"a": "b", "c": ["d\\n", {"e": "f\\u0040"}], "g": 1, "h": {}, "i": "j"}\n```'
    assert strings_of(text) == ["b", "d\n", "f@", "j"]
    assert strings_of("no json") == ()
