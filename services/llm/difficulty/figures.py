"""What of a question is judged, its figures, and the difficulty that they alone speak for. Pure, without a network."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.llm.difficulty.words import HARD, HARD_WITHOUT_SPACES, WHY, WHY_WITHOUT_SPACES, matcher

LONGEST = 2_000
"""Characters that are looked at, about as many as an embedder reads: of a longer text the two ends."""
SHORT = 80
"""A message of fewer characters that is not the first is judged together with the one before."""
NAMES = (
    "length", "numbers", "digits", "operators", "code", "questions", "parts", "hard_words", "why_words",
)  # fmt: skip
"""Of the figures, in order."""

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_OPERATOR = re.compile(r"(?<=[\d\s)])[-+*/×÷^%=](?=[\s\d(])|√|∑|∫|\bmod\b")
_QUESTION = re.compile(r"[?？؟]+")
_PART = re.compile(r"^[ \t]*(?:[-*•]|\(?[0-9a-z]{1,2}[.)])\s", re.MULTILINE)
_CODE = re.compile(
    r"```|^[ \t]{2,}\S.*[;{}:]$|[\w\])]\((?:[^)\n]{0,80})\)\s*[;{:]"
    r"|\b(?:def|function|class|import|SELECT|public static|const|#include|Traceback|stack trace|regex)\b\s*[\w(*\"'<.]",
    re.MULTILINE,
)
_DENSE = re.compile(r"[぀-ヿ㐀-鿿가-힯]")
_DENSITY = 2.5
"""Letters of an alphabet that say as much as one of these characters."""
_HARD, _WHY = matcher(HARD, HARD_WITHOUT_SPACES), matcher(WHY, WHY_WITHOUT_SPACES)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one question, by NAMES."""

    length: float
    numbers: int
    digits: int
    operators: int
    code: bool
    questions: int
    parts: int
    hard_words: int
    why_words: int

    @property
    def row(self) -> tuple[float, ...]:
        """As a classifier reads them: counts that grow without bound by their logarithm."""
        return (
            math.log2(1 + self.length), math.log2(1 + self.numbers), float(self.digits), math.log2(1 + self.operators),
            float(self.code), math.log2(1 + self.questions), math.log2(1 + self.parts), math.log2(1 + self.hard_words),
            math.log2(1 + self.why_words),
        )  # fmt: skip

    @property
    def difficulty(self) -> float:
        """0 to 1: the sum of points that docs/difficulty.md lists."""
        points = 0.5 * bool(self.hard_words) + 0.1 * max(0, self.hard_words - 1)
        points += 0.2 * bool(self.why_words) + 0.3 * self.code
        points += 0.2 * (self.numbers >= 2) + 0.2 * (self.operators > 0 and self.digits >= 3)
        points += min(0.3, 0.1 * (max(0, self.questions - 1) + max(0, self.parts - 1)))
        points += min(0.4, 0.1 * max(0.0, math.log2(max(self.length, 1) / 250)))
        return min(1.0, points)


def question_of(said: Sequence[str]) -> str:
    """What is judged of a conversation, of which the user has `said` this: the last message, and the one before where
    the last is a short one. Empty where nothing was said."""
    texts = [text.strip() for text in said[-2:]]
    if not texts:
        return ""
    question = "\n".join(filter(None, texts)) if len(texts[-1]) < SHORT else texts[-1]
    if len(question) <= LONGEST:
        return question
    return f"{question[: LONGEST // 2]}\n{question[-LONGEST // 2 :]}"


def figures_of(question: str) -> Figures:
    """Of a text that `question_of` has bounded."""
    numbers = _NUMBER.findall(question)
    dense = len(_DENSE.findall(question))
    return Figures(
        length=len(question) + (_DENSITY - 1) * dense,
        numbers=len(numbers),
        digits=min(12, max((sum(map(str.isdigit, number)) for number in numbers), default=0)),
        operators=len(_OPERATOR.findall(question)),
        code=_CODE.search(question) is not None,
        questions=len(_QUESTION.findall(question)),
        parts=len(_PART.findall(question)),
        hard_words=len(_HARD.findall(question)),
        why_words=len(_WHY.findall(question)),
    )
