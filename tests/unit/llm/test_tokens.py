"""Tokens: the estimate, and what is believed of an upstream; and secrets, which are not passed on."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.llm.secrets import FRAGMENT, secrets_of, without_secrets
from services.llm.tokens import MOST_TOKENS, TokenTally, believed, estimate, estimate_prompt

KEY = "sk-proj-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
URL = "https://llm.example/v1/chat/completions"


@pytest.mark.parametrize("said", [None, -1, 1 << 62, 1 << 70, "500", "", 1.5, True, [], {}, 0, 1, 124, MOST_TOKENS + 1])
def test_what_cannot_be_is_estimated(said: Any) -> None:
    assert believed(said, 500) == 500


@pytest.mark.parametrize("said", [125, 500, 100_000, MOST_TOKENS])
def test_what_can_be_is_believed(said: int) -> None:
    assert believed(said, 500) == said


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()), st.integers(0, 1 << 20))
def test_a_number_of_tokens_is_bounded_whatever_is_said(said: Any, estimate: int) -> None:
    assert estimate // 4 <= believed(said, estimate) <= max(MOST_TOKENS, 4 * estimate)


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("你好吗", 3), ("é", 1), ("word " * 300, 375)]
)
def test_an_estimate(text: str, tokens: int) -> None:
    assert estimate(text) == tokens


def test_a_prompt_has_more_than_its_texts() -> None:
    assert estimate_prompt(["why?", "abcde"]) == 1 + 4 + 2 + 4


@given(st.lists(st.text()))
def test_an_answer_in_pieces_has_no_fewer_tokens_than_whole(pieces: list[str]) -> None:
    tally = TokenTally([])
    for piece in pieces:
        tally.add(piece)
    assert tally.written >= estimate("".join(pieces)) or not "".join(pieces).isascii()
    assert tally.written >= len(pieces)
    assert tally.estimated


def test_what_the_upstream_reports_counts() -> None:
    tally = TokenTally(["why?"])
    tally.add("because")
    assert (tally.read, tally.written, tally.cached, tally.estimated) == (5, 2, 0, True)
    tally.report({"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}})
    assert (tally.read, tally.written, tally.cached, tally.estimated) == (9, 3, 4, False)
    tally.report({"prompt_tokens": 1 << 62, "completion_tokens": "3"})
    assert (tally.read, tally.written, tally.estimated) == (5, 2, True)


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
