"""Several texts in one go: what is cut in two is found, and what is not is not."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.guard.compile import compile_policy
from gateway.guard.pipeline import GuardPipeline
from gateway.guard.policy import parse
from gateway.guard.terms.library import Library

POLICY = """
guards:
  - {guard: pii, stage: both, action: redact, restore: true}
  - {guard: secrets, stage: input, action: redact}
  - {guard: terms, stage: input, action: redact, terms: [badword, "two words"]}
  - {guard: length, stage: input, characters: 400, action: flag}
"""
PIPELINE = GuardPipeline(compile_policy(parse(POLICY), Library(None)), None)
CUT = [
    ["my card 4111 1111 ", "1111 1111, thanks"],
    ["4111", "1111", "1111", "1111"],
    ["my card 4111 ", "1111 ", "1111 ", "1111 ok"],
    ["a bad", "word"],
    ["so bad", "word", "evil"],
    ["two ", "words"],
    ["write to jo@exam", "ple.com please"],
    ["the key AKIAIOSF", "ODNN7EXAMPLE"],
    ["x" * 300 + " bad", "word " + "y" * 300],
    ["b\u200bad", "w\u200bord"],
    [r"b\u0061d", r"w\u006frd"],
]


@pytest.mark.parametrize("texts", CUT, ids=repr)
async def test_what_is_cut_over_texts_is_found(texts: list[str]) -> None:
    """And stands in the first of them alone."""
    several = await PIPELINE.screen_input(texts, flows=[list(range(len(texts)))])
    messages = await PIPELINE.screen_input(texts, flows=[[item] for item in range(len(texts))])
    assert several.texts == messages.texts
    assert any(mark in several.texts[0] for mark in ("<CARD_1>", "*", "<EMAIL_1>", "<AWS_KEY>"))
    joined = "".join(several.texts).replace("\u200b", "")
    assert not any(word in joined for word in ("1111", "badword", "words", "jo@exam", "AKIA"))
    assert len(several.findings) == 1
    assert several.findings[0].item == 0


@pytest.mark.parametrize("texts", [*CUT[:5], ["4111 1111", "1111 1111"], ["4111-1111-", "1111-1111"]], ids=repr)
async def test_texts_that_are_not_read_together_are_no_one_text(texts: list[str]) -> None:
    assert (await PIPELINE.screen_input(texts)).texts == texts


async def test_what_stands_between_the_messages_is_not_read_with_them() -> None:
    screened = await PIPELINE.screen_input(["a bad", "between", "word"], flows=[[0], [2]])
    assert screened.texts == ["a *******", "between", ""]


@pytest.mark.parametrize("texts", [["I see it", "not at all"], ["at 4111", "1111 of them"], ["mail", "@jo"], ["", ""]])
async def test_joints_alone_are_no_finding(texts: list[str]) -> None:
    assert (await PIPELINE.screen_input(texts, flows=[[0, 1]])).texts == texts


async def test_an_edge_is_one_for_each_reading() -> None:
    """What is whole in its own text is found, whatever the next one begins with."""
    screened = await PIPELINE.screen_input(["mail jo@example.co", "m or ring"], flows=[[0, 1]])
    assert screened.texts == ["mail <EMAIL_1>", "m or ring"]
    screened = await PIPELINE.screen_input(["badword", "s follow"], flows=[[0, 1]])
    assert screened.texts == ["*******", "s follow"]
    screened = await PIPELINE.screen_input(["write to", "jo@example.com"], flows=[[0], [1]])
    assert screened.texts == ["write to", "<EMAIL_1>"]


async def test_lengths_are_those_of_each_text() -> None:
    screened = await PIPELINE.screen_input(["x" * 300, "x" * 300, "x" * 401])
    assert [(each.guard, each.item, each.start) for each in screened.findings] == [("length", 2, 400)]


async def test_placeholders_are_the_same_in_every_text() -> None:
    screened = await PIPELINE.screen_input(["jo@", "example.com", "jo@example.com", r"see jo\u0040example.com"])
    assert screened.texts[2:] == ["<EMAIL_1>", "see <EMAIL_1>"]
    screened = await PIPELINE.screen_input(["jo@", "example.com", "jo@example.com"], flows=[[0, 1], [2]])
    assert screened.texts == ["<EMAIL_1>", "", "<EMAIL_1>"]


FOUND = st.sampled_from(["jo@example.com", "badword", "4111 1111 1111 1111"])
FILL = st.text("ab .,\n", max_size=200)


@settings(max_examples=200, deadline=None)
@given(FILL, FOUND, FILL, st.lists(st.integers(0, 999), max_size=4))
def test_wherever_it_is_cut(before: str, found: str, after: str, cuts: list[int]) -> None:
    text = f"{before} {found} {after}"
    first = len(before) + 1
    edges = sorted({0, len(text), *(first + cut % len(found) for cut in cuts)})
    texts = [text[start:end] for start, end in pairwise(edges)]
    screened = asyncio.run(PIPELINE.screen_input(texts, flows=[list(range(len(texts)))]))
    assert found not in "".join(screened.texts)
    assert {each.category for each in screened.findings} & {"EMAIL", "CARD", "terms"}
