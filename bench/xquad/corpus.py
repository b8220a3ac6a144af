"""XQuAD: paragraphs of Wikipedia, and questions of people with the words that answer them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.kit import BenchError

SOURCE = "https://github.com/google-deepmind/xquad"


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One passage; `id` is the name of its document, `article` the number of the article it is from."""

    id: str
    article: int
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question, the paragraph that answers it, and the texts there that do."""

    text: str
    paragraph: Paragraph
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Corpus:
    """One language's part."""

    language: str
    paragraphs: tuple[Paragraph, ...]
    questions: tuple[Question, ...]


def load(folder: Path, language: str) -> Corpus:
    """The part of a language, by its ISO 639-1 code. Raises BenchError where it is not there or not XQuAD."""
    file = folder / f"xquad.{language}.json"
    if not file.is_file():
        raise BenchError(
            f"{file} is missing: the benchmarks need XQuAD's xquad.LANGUAGE.json, such as xquad.en.json; get them "
            f"from {SOURCE} and name their folder with --data"
        )
    try:
        return _corpus(language, json.loads(file.read_text("utf-8"))["data"])
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{file} is not in SQuAD v1.1's form as XQuAD is: {error!r}") from error


def _corpus(language: str, articles: list[dict[str, Any]]) -> Corpus:
    paragraphs: list[Paragraph] = []
    questions: list[Question] = []
    for article, entry in enumerate(articles):
        for held in entry["paragraphs"]:
            paragraph = Paragraph(f"{language}-{article:02d}-{len(paragraphs):04d}", article, held["context"])
            paragraphs.append(paragraph)
            questions.extend(
                Question(asked["question"], paragraph, tuple(answer["text"] for answer in asked["answers"]))
                for asked in held["qas"]
            )
    return Corpus(language, tuple(paragraphs), tuple(questions))
