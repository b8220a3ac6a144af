"""Between the `extract` model's tensors and `services.models.extraction`, free of Triton's types."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from services.models.errors import InvalidRequest
from services.models.extraction import Answer, Question

Array = npt.NDArray[Any]
Tensors = Mapping[str, Array]

INPUTS = ("QUESTION", "QUERY_VECTOR", "SENTENCES", "SENTENCE_VECTORS", "PASSAGE", "PASSAGE_SCORES", "MAX_SENTENCES")
DECLINED = -1


def read_question(tensors: Tensors) -> Question:
    """The tensors named in INPUTS as a question. Raises InvalidRequest."""
    try:
        question = Question(
            text=str(tensors["QUESTION"][0], "utf-8"),
            vector=tensors["QUERY_VECTOR"],
            sentences=[str(sentence, "utf-8") for sentence in tensors["SENTENCES"]],
            sentence_vectors=tensors["SENTENCE_VECTORS"],
            passage=tensors["PASSAGE"],
            passage_scores=tensors["PASSAGE_SCORES"],
            max_sentences=int(tensors["MAX_SENTENCES"][0]),
        )
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"not UTF-8: {error.reason} at byte {error.start}") from error
    _check(question)
    return question


def _check(question: Question) -> None:
    count = len(question.sentences)
    if len(question.vector) not in (0, 384):
        raise InvalidRequest("QUERY_VECTOR must have 384 numbers or none")
    if len(question.sentence_vectors) != count or len(question.passage) != count:
        raise InvalidRequest("SENTENCES, SENTENCE_VECTORS and PASSAGE must be of one length")
    if count and not 0 <= question.passage.min() <= question.passage.max() < len(question.passage_scores):
        raise InvalidRequest("PASSAGE must point into PASSAGE_SCORES")
    if question.max_sentences < 1:
        raise InvalidRequest("MAX_SENTENCES must be positive")


def write_answer(answer: Answer) -> dict[str, Array]:
    """The output tensors; SENTENCE is -1 alone when there is no answer."""
    chosen = answer.chosen or [(DECLINED, 0.0)]
    return {
        "SENTENCE": np.array([sentence for sentence, _ in chosen], dtype=np.int32),
        "SCORE": np.array([score for _, score in chosen], dtype=np.float32),
        "CONFIDENCE": np.array([answer.confidence], dtype=np.float32),
        "TOKENS": np.array([answer.tokens_read, answer.tokens_written], dtype=np.int32),
    }
