import json
from pathlib import Path

import pytest

from bench.ingest.passages import passages
from bench.kit import BenchError
from bench.xquad import corpus as xquad
from services.retrieval.language.sentences import sentences


def write(folder: Path, paragraphs: int) -> Path:
    held = [
        {
            "context": f"Paragraph {number} is short. It speaks of thing {number}. There is no more of it.",
            "qas": [{"question": f"Of what is {number}?", "answers": [{"text": f"thing {number}", "answer_start": 0}]}],
        }
        for number in range(paragraphs)
    ]
    articles = [{"title": "one", "paragraphs": held[:2]}, {"title": "two", "paragraphs": held[2:]}]
    (folder / "xquad.en.json").write_text(json.dumps({"data": articles}), "utf-8")
    return folder


def test_paragraphs_and_questions(tmp_path: Path) -> None:
    corpus = xquad.load(write(tmp_path, 3), "en")
    assert [(paragraph.id, paragraph.article) for paragraph in corpus.paragraphs] == [
        ("en-00-0000", 0),
        ("en-00-0001", 0),
        ("en-01-0002", 1),
    ]
    assert corpus.questions[2].paragraph is corpus.paragraphs[2]
    assert corpus.questions[2].answers == ("thing 2",)


def test_a_missing_corpus_is_told_with_its_source(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"xquad\.en\.json is missing.*google-deepmind/xquad.*--data"):
        xquad.load(tmp_path, "en")


@pytest.mark.parametrize("text", ["", "[]", '{"data": [{"paragraphs": [{}]}]}'])
def test_a_corpus_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "xquad.zh.json").write_text(text, "utf-8")
    with pytest.raises(BenchError, match=r"SQuAD v1\.1"):
        xquad.load(tmp_path, "zh")


def test_passages_are_as_many_as_wanted_and_all_different(tmp_path: Path) -> None:
    corpus = xquad.load(write(tmp_path, 5), "en")
    made = passages(corpus, 40)
    assert len(made) == len(set(made)) == 40
    assert made[:5] == [paragraph.text for paragraph in corpus.paragraphs]
    assert {len(sentences(text)) for text in made} == {3}
    assert made == passages(corpus, 40)
    assert passages(corpus, 2) == made[:2]
