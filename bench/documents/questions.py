"""Questions on the corpus as people would ask them, with their answers, and questions that it does not answer."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.documents.wording import holds
from bench.kit import BenchError

FOLDER = Path(__file__).with_name("questions")
LANGUAGES = ("en", "de", "zh")
UNANSWERED = "unanswered"
# One of so many is held apart.
PARTS = 3


@dataclass(frozen=True, slots=True)
class Question:
    """A question. A passage answers it if it is of one of `documents` and holds one of `answers`; both are empty for a
    question that the corpus does not answer. `kind` is what is asked for: a limit, an option, a fact, how to do it."""

    text: str
    language: str
    kind: str
    documents: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()

    @property
    def held(self) -> bool:
        """Whether it is held apart: a third is, by a hash of the text, and nothing is tuned on it."""
        return hashlib.sha256(self.text.encode()).digest()[0] % PARTS == 0


def answered(folder: Path = FOLDER) -> list[Question]:
    """All that the corpus answers, by language. Raises BenchError."""
    return [question for language in LANGUAGES for question in read(folder / f"{language}.yaml", language)]


def present(questions: Sequence[Question], texts: Mapping[str, str]) -> tuple[list[Question], list[Question]]:
    """Those whose answer still stands in one of their documents' `texts`, by document; and those whose does not."""
    there: list[Question] = []
    gone: list[Question] = []
    for question in questions:
        found = any(holds(texts.get(document, ""), question.answers) for document in question.documents)
        (there if found else gone).append(question)
    return there, gone


def unanswered(folder: Path = FOLDER) -> list[Question]:
    """Questions near the corpus that it does not answer. Raises BenchError."""
    return read(folder / f"{UNANSWERED}.yaml", "en")


def read(file: Path, language: str) -> list[Question]:
    """The questions of a file, in `language` where they name no other. Raises BenchError."""
    try:
        entries: list[dict[str, Any]] = yaml.safe_load(file.read_text("utf-8"))
        questions = [_question(entry, language) for entry in entries]
    except (OSError, yaml.YAMLError, TypeError, KeyError) as error:
        raise BenchError(f"{file} is no list of questions: {error!r}") from error
    if not questions:
        raise BenchError(f"{file} has no questions")
    _require_unique(file, questions)
    return questions


def _question(entry: dict[str, Any], language: str) -> Question:
    return Question(
        text=str(entry["question"]),
        language=str(entry.get("language", language)),
        kind=str(entry.get("kind", UNANSWERED)),
        documents=tuple(map(str, entry.get("documents", ()))),
        answers=tuple(map(str, entry.get("answers", ()))),
    )


def _require_unique(file: Path, questions: Sequence[Question]) -> None:
    texts = [question.text for question in questions]
    if twice := {text for text in texts if texts.count(text) > 1}:
        raise BenchError(f"{file} asks twice: {', '.join(sorted(twice))}")
