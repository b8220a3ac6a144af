"""The `extract` model's tensors."""

from typing import Any

import numpy as np
import pytest

from services.models.errors import InvalidRequest
from services.models.extraction import Answer
from services.models.quoting import read_question, write_answer


def tensors(**changes: Any) -> dict[str, Any]:
    plain = {
        "QUESTION": np.array([b"Who?"], dtype=np.object_),
        "QUERY_VECTOR": np.zeros(384, np.float32),
        "SENTENCES": np.array([b"One.", "Zwölf.".encode()], dtype=np.object_),
        "SENTENCE_VECTORS": np.zeros((2, 384), np.int8),
        "PASSAGE": np.array([0, 1], np.int32),
        "PASSAGE_SCORES": np.zeros((2, 2), np.float32),
        "MAX_SENTENCES": np.array([3], np.int32),
    }
    return {**plain, **changes}


def test_a_question_is_read() -> None:
    question = read_question(tensors())
    assert question.text == "Who?"
    assert question.sentences == ["One.", "Zwölf."]
    assert question.max_sentences == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"QUESTION": np.array([b"\xff"], dtype=np.object_)},
        {"QUERY_VECTOR": np.zeros(5, np.float32)},
        {"SENTENCE_VECTORS": np.zeros((1, 384), np.int8)},
        {"PASSAGE": np.array([0], np.int32)},
        {"PASSAGE": np.array([0, 2], np.int32)},
        {"PASSAGE": np.array([-1, 0], np.int32)},
        {"MAX_SENTENCES": np.array([0], np.int32)},
    ],
)
def test_an_unreadable_question_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        read_question(tensors(**changes))


def test_an_answer_is_its_sentences_in_order() -> None:
    written = write_answer(Answer([(4, 0.5), (2, 0.25)], 0.75, 30, 12))
    assert written["SENTENCE"].tolist() == [4, 2]
    assert written["SCORE"].tolist() == [0.5, 0.25]
    assert written["CONFIDENCE"].tolist() == [0.75]
    assert written["TOKENS"].tolist() == [30, 12]


def test_no_answer_is_minus_one() -> None:
    written = write_answer(Answer([], 0.125, 30, 0))
    assert written["SENTENCE"].tolist() == [-1]
    assert written["CONFIDENCE"].tolist() == [0.125]
