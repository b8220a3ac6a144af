"""Graders that compare embeddings, for where there is no language model to judge."""

from itertools import pairwise

from services.orchestrator.agents.graders.grader import Grade, Question
from services.orchestrator.agents.graders.sentences import sentences_of
from services.orchestrator.agents.work import Embedder

GROUNDED = 0.6
ANSWERS = 0.3
MOST_SENTENCES = 100


class SimilarToEvidence:
    """Each sentence of the answer must be near to a sentence, or a pair of them, of the evidence.

    It knows topics, not truth: a sentence that turns its source into the opposite is near to it.
    """

    def __init__(self, embedder: Embedder, threshold: float = GROUNDED) -> None:
        self._embedder = embedder
        self._threshold = threshold

    async def grade(self, question: Question) -> Grade:
        said = sentences_of(question.answer)[:MOST_SENTENCES]
        known = _windows(question.evidence)
        if not said:
            return Grade(True, 1.0, "the answer claims nothing")
        if not known:
            return Grade(False, 0.0, "there is nothing that the answer could rest on", tuple(said))
        vectors = await self._embedder.embed([*said, *known])
        nearest = (vectors[: len(said)] @ vectors[len(said) :].T).max(axis=1)
        weak = tuple(text for text, near in zip(said, nearest, strict=True) if near < self._threshold)
        score = float(max(0.0, min(1.0, nearest.min())))
        if not weak:
            return Grade(True, score, "each sentence is near to one of the sources")
        return Grade(False, score, f"the sources do not support: {_quoted(weak)}", weak)


class SimilarToQuestion:
    """The answer must be near to the question."""

    def __init__(self, embedder: Embedder, threshold: float = ANSWERS) -> None:
        self._embedder = embedder
        self._threshold = threshold

    async def grade(self, question: Question) -> Grade:
        said = sentences_of(question.answer)[:MOST_SENTENCES]
        if not said:
            return Grade(False, 0.0, "the answer says nothing")
        vectors = await self._embedder.embed([question.question, *said, " ".join(said)])
        score = float(max(0.0, min(1.0, (vectors[1:] @ vectors[0]).max())))
        passed = score >= self._threshold
        return Grade(passed, score, "it is about the question" if passed else "the answer is not about the question")


def _windows(evidence: tuple[str, ...]) -> list[str]:
    """The sentences of the evidence, and each pair of neighbours: a claim may rest on both."""
    windows: list[str] = []
    for text in evidence:
        sentences = sentences_of(text)[:MOST_SENTENCES]
        windows += sentences
        windows += [f"{one} {other}" for one, other in pairwise(sentences)]
    return windows[: 4 * MOST_SENTENCES]


def _quoted(sentences: tuple[str, ...]) -> str:
    return "; ".join(f"“{sentence[:200]}”" for sentence in sentences[:5])
