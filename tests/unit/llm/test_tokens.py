"""Tokens: the estimate, and what is believed of an upstream; and secrets, which are not passed on."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.llm.secrets import FRAGMENT, secrets_of, without_secrets
from services.llm.tokens import MOST_TOKENS, TextEstimate, TokenTally, believed, estimate, estimate_prompt

KEY = "sk-proj-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
URL = "https://llm.example/v1/chat/completions"


@pytest.mark.parametrize("said", [None, -1, "500", "", 1.5, True, [], {}, 0, 1, 124])
def test_what_cannot_be_is_estimated(said: Any) -> None:
    assert believed(said, 500) == 500


@pytest.mark.parametrize("said", [125, 500, 100_000, MOST_TOKENS])
def test_what_can_be_is_believed(said: int) -> None:
    assert believed(said, 500) == said


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()), st.integers(0, 1 << 20))
def test_a_number_of_tokens_is_bounded_whatever_is_said(said: Any, estimate: int) -> None:
    assert estimate // 4 <= believed(said, estimate) <= max(MOST_TOKENS, 4 * estimate)


@pytest.mark.parametrize(
    ("said", "estimated", "context", "booked"),
    [
        (200_048, 12, 0, 200_048),  # images and thoughts are in no text
        (MOST_TOKENS + 1, 500, 0, MOST_TOKENS),
        (1 << 70, 500, 0, MOST_TOKENS),
        (1e21, 500, 0, MOST_TOKENS),  # as JSON has 1 << 70
        (200_048, 12, 8192, 8192),
        (8192, 12, 8192, 8192),
        (1 << 62, 12, 8192, 8192),
        (9000, 3000, 8192, 9000),  # the catalogue may be wrong about the context
        (100_000, 3000, 8192, 12_000),
    ],
)
def test_a_report_that_is_too_large_is_not_the_cheaper_for_it(
    said: float, estimated: int, context: int, booked: int
) -> None:
    assert believed(said, estimated, context_length=context) == booked


@given(st.integers(0, 1 << 80), st.integers(0, 1 << 80), st.integers(0, 1 << 20), st.integers(0, 1 << 20))
def test_who_reports_more_is_charged_no_less(one: int, other: int, estimated: int, context: int) -> None:
    least = -(-estimated // 4)
    few, many = sorted((max(one, least), max(other, least)))
    assert believed(few, estimated, context_length=context) <= believed(many, estimated, context_length=context)


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("你好吗", 3), ("é", 1), ("word " * 300, 375)]
)
def test_an_estimate(text: str, tokens: int) -> None:
    assert estimate(text) == tokens


def test_a_prompt_has_more_than_its_texts() -> None:
    assert estimate_prompt(["why?", "abcde"]) == 1 + 4 + 2 + 4


@given(st.lists(st.text()))
def test_an_answer_in_pieces_has_as_many_tokens_as_whole(pieces: list[str]) -> None:
    tally, text = TokenTally([]), TextEstimate()
    for piece in pieces:
        tally.add(piece)
        text.add(piece)
    assert tally.counts.written == text.tokens
    assert tally.counts.written == estimate("".join(pieces)) or not "".join(pieces).isascii()
    assert tally.estimated
    assert not tally.implausible


def test_a_piece_whose_tokens_are_known_is_not_estimated() -> None:
    text = TextEstimate()
    for piece, tokens in (("a", 0), ("known", 7), ("bc", 0), ("d", 0)):
        text.add(piece, tokens)
    assert text.tokens == 8
    text.clear()
    assert text.tokens == 0


def test_what_the_upstream_reports_counts() -> None:
    tally = TokenTally(["why?"])
    tally.add("because")
    assert (tally.counts.read, tally.counts.written, tally.counts.cached, tally.estimated) == (5, 2, 0, True)
    tally.report({"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}})
    assert (tally.counts.read, tally.counts.written, tally.counts.cached, tally.estimated) == (9, 3, 4, False)
    tally.report({"prompt_tokens": 1 << 62, "completion_tokens": "3"})
    assert (tally.counts.read, tally.counts.written, tally.implausible) == (MOST_TOKENS, 2, True)


@pytest.mark.parametrize(
    ("usage", "written", "implausible"),
    [
        ({"completion_tokens": 3, "total_tokens": 12}, 3, False),
        ({"completion_tokens": 3}, 3, False),
        ({"completion_tokens": 3, "total_tokens": 112}, 103, False),  # thoughts are in the total alone
        ({"completion_tokens": 3, "total_tokens": 4}, 3, True),
        ({"completion_tokens": 3, "total_tokens": 1 << 62}, MOST_TOKENS, True),
        ({"completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 1 << 62}}, 3, True),
    ],
    ids=repr,
)
def test_the_parts_of_a_usage_have_to_agree(usage: dict[str, Any], written: int, implausible: bool) -> None:
    tally = TokenTally(["why?"])
    tally.add("because")
    tally.report({"prompt_tokens": 9, **usage})
    assert (tally.counts.read, tally.counts.written, tally.implausible) == (9, written, implausible)


@pytest.mark.parametrize(
    ("details", "reasoning"),
    [({"reasoning_tokens": 2}, 2), ({"reasoning_tokens": 0}, 0), ({"reasoning_tokens": None}, 0), ({}, 0), (None, 0),
     ([2], 0), ({"reasoning_tokens": "2"}, 0), ({"reasoning_tokens": True}, 0), ({"reasoning_tokens": -1}, 0),
     ({"reasoning_tokens": 1 << 70}, 3), ({"reasoning_tokens": 2.0}, 2)],
    ids=repr,
)  # fmt: skip
def test_of_what_was_written_some_may_be_thought(details: Any, reasoning: int) -> None:
    tally = TokenTally(["why?"])
    tally.add("because")
    tally.report({"prompt_tokens": 9, "completion_tokens": 3, "completion_tokens_details": details})
    assert (tally.counts.written, tally.counts.reasoning) == (3, reasoning)


def test_secrets_are_keys_and_credentials_in_addresses() -> None:
    url = "https://ann:pass%2Fword@llm.example/v1/chat/completions?api-version=2&key=query-secret"
    found = secrets_of(url, {"authorization": f"Bearer {KEY}", "x-api-key": "other-key", "user-agent": "headworks"})
    assert {KEY, "other-key", "pass/word", "pass%2Fword", "query-secret"} <= set(found)
    assert "headworks" not in found


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"Incorrect API key provided: {KEY}.", "Incorrect API key provided: …."),
        (f"{KEY}{KEY} and {KEY}", "…… and …"),
        (f"Bearer {KEY[:20]}", "Bearer …"),
        (f"it ends with {KEY[-FRAGMENT:]}!", "it ends with …!"),
        (f"within: {KEY[5:30]}, and so on", "within: …, and so on"),
        ("Incorrect API key provided: sk-p****6789", "Incorrect API key provided: sk-p****6789"),
        ("nothing of it", "nothing of it"),
        ("", ""),
    ],
)
def test_no_secret_is_shown_nor_a_long_piece_of_one(text: str, shown: str) -> None:
    assert without_secrets(text, secrets_of(URL, {"authorization": f"Bearer {KEY}"})) == shown


@given(st.text(), st.integers(0, len(KEY)), st.integers(0, len(KEY)), st.text())
def test_no_piece_of_a_secret_is_left(before: str, start: int, end: int, after: str) -> None:
    shown = without_secrets(before + KEY[start:end] + after, [KEY])
    assert not any(KEY[at : at + FRAGMENT] in shown for at in range(len(KEY) - FRAGMENT + 1))
