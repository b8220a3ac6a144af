"""Answers against references."""

import pytest

from services.llm.difficulty.scoring import contains, exact, f1, number


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [("Paris.", "paris", 1), ("It is Paris", "Paris", 0), ("", "Paris", 0), ("北京。", "北京", 1)],
)
def test_exact(answer: str, reference: str, score: float) -> None:
    assert exact(answer, reference) == score


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("It is Paris, of course", "paris", 1),
        ("Parisian", "Paris", 0),
        ("the Port of Vila", "Port Vila", 0),
        ("它是北京市", "北京", 1),
        ("anything", "?!", 0),
    ],
)
def test_contains(answer: str, reference: str, score: float) -> None:
    assert contains(answer, reference) == score


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("2 + 2 = 4", "4", 1),
        ("1,234.5", "1234.5", 1),
        ("12 345", "12345", 1),
        ("-3", "3", 0),
        ("−3", "-3", 1),
        ("4 of 5", "4", 0),
        ("four", "4", 0),
        ("4", "none", 0),
    ],
)
def test_number(answer: str, reference: str, score: float) -> None:
    assert number(answer, reference) == score


def test_f1() -> None:
    assert f1("the red house", "a red house") == pytest.approx(2 / 3)
    assert f1("", "a") == f1("b", "a") == 0
    assert f1("A!", "a") == 1
