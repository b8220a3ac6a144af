"""What of a question is judged, and how hard it looks without anything learned."""

import pytest

from services.llm.difficulty.figures import LONGEST, NAMES, figures_of, question_of
from services.llm.difficulty.judge import DEFAULT_THRESHOLD
from services.orchestrator.agents.loop.loop import CLOSE

EASY = [
    "What is the capital of France?",
    "Wie heißt die Hauptstadt von Frankreich?",
    "法国的首都是什么？",
    "ما هي عاصمة فرنسا؟",
    "Translate 'good morning' into German.",
    "Hi!",
    "Что такое HTTP?",
]
HARD = [
    "Prove that the square root of 2 is irrational.",
    "Beweise, dass die Wurzel aus 2 irrational ist. Warum gilt das nicht für 4?",
    "请证明根号2是无理数，并解释为什么。",
    "Докажи, что корень из двух иррационален, и объясни почему.",
    "أثبت أن الجذر التربيعي للعدد 2 غير نسبي واشرح لماذا",
    "Why does this fail?\n```python\ndef f(x):\n    return x / 0\n```\nExplain and fix it.",
    "Refactor this:\n  for (int i = 0; i < 10; i++) {\n  sum += a[i];\n  }\n",
    "1. What is TCP?\n2. What is UDP?\n3. How do they compare?\n4. Which is faster, and why?",
    "Analyse step by step: a train leaves at 9:40 at 80 km/h, another at 10:10 at 120 km/h. When do they meet?",
]


@pytest.mark.parametrize("question", EASY)
def test_easy_ones(question: str) -> None:
    assert figures_of(question).difficulty <= DEFAULT_THRESHOLD


@pytest.mark.parametrize("question", HARD)
def test_hard_ones(question: str) -> None:
    assert figures_of(question).difficulty > DEFAULT_THRESHOLD


def test_a_question_is_the_harder_the_longer() -> None:
    short, long, longest = (figures_of("word " * count).difficulty for count in (20, 400, 10_000))
    assert short < long < longest <= 1


def test_larger_numbers_make_a_sum_harder() -> None:
    assert figures_of("12 * 3 = ?").difficulty < figures_of("8123 * 3945 = ?").difficulty


def test_the_figures_have_names() -> None:
    assert len(figures_of("Why 2 + 2?").row) == len(NAMES)


@pytest.mark.parametrize(
    ("said", "question"),
    [
        ([], ""),
        (["  "], ""),
        (["Why?"], "Why?"),
        (["Prove it.", "And now for 17?"], "Prove it.\nAnd now for 17?"),
        (["Prove it.", "x" * 80], "x" * 80),
        (["first", "second", "third"], "second\nthird"),
        (["Describe this.", ""], "Describe this."),
        (["Prove it.", CLOSE.content], f"Prove it.\n{CLOSE.content}"),
    ],
)
def test_a_short_message_is_judged_with_the_one_before(said: list[str], question: str) -> None:
    assert question_of(said) == question


def test_of_a_long_text_both_ends_are_judged() -> None:
    question = question_of([f"begin {'x ' * LONGEST} end"])
    assert question.startswith("begin")
    assert question.endswith("end")
    assert len(question) <= LONGEST + 1


@pytest.mark.parametrize(
    "text", ["(" * 4000, "1" * 4000, "a(" * 2000, " - " * 1300, "```" * 1300, "  x" * 1300, "\x00" * 4000]
)
def test_no_text_takes_long(text: str) -> None:
    assert 0 <= figures_of(text).difficulty <= 1
