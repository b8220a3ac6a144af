"""Graders that compare, for where there is no language model to judge: embeddings where the embedder reads the script,
shared words elsewhere, and the numbers, which embeddings do not see."""

from itertools import pairwise

from services.orchestrator.agents.loop.graders.grader import Grade, GradedAnswer
from services.orchestrator.agents.loop.graders.overlap import covered, numbers, readable
from services.orchestrator.agents.loop.graders.sentences import claims_of, sentences_of
from services.orchestrator.agents.loop.work import Embedder

# On XQuAD, with claims made of a question and its answer: of those that their own passage supports 0.91 pass, of those
# held against the nearest other passages 0.79 fail, against any other 1.0.
GROUNDED = 0.6
# On XQuAD: 0.98 of the sentences that hold the answer pass, 0.996 of the others fail.
ANSWERS = 0.3
# What shared words are worth beside a cosine. In Chinese: 0.95 pass, 0.82 of the nearest others fail; 0.96 and 0.94.
GROUNDED_WORDS = GROUNDED / 0.45
ANSWERS_WORDS = ANSWERS / 0.15
MOST_SENTENCES = 100


class SimilarToEvidence:
    """Each sentence of the answer must be near to a sentence, or a pair of them, of the evidence, and each of its
    numbers must stand there.

    It knows topics, not truth: a sentence that turns its source into the opposite is near to it.
    """

    def __init__(self, embedder: Embedder, threshold: float = GROUNDED) -> None:
        self._embedder = embedder
        self._threshold = threshold

    async def grade(self, question: GradedAnswer) -> Grade:
        said = claims_of(question.answer)[:MOST_SENTENCES]
        known = _windows(question.evidence)
        if not said:
            return Grade(True, 1.0, "the answer claims nothing")
        if not known:
            return Grade(False, 0.0, "there is nothing that the answer could rest on", tuple(said))
        scores = await self._scores(said, known)
        given = numbers(" ".join((question.question, *question.evidence)))
        scores = [score if numbers(one) <= given else 0.0 for one, score in zip(said, scores, strict=True)]
        weak = tuple(one for one, score in zip(said, scores, strict=True) if score < self._threshold)
        if not weak:
            return Grade(True, min(scores), "each sentence is near to one of the sources")
        return Grade(False, min(scores), f"the sources do not support: {_quoted(weak)}", weak)

    async def _scores(self, said: list[str], known: list[str]) -> list[float]:
        """How near each sentence is to the nearest source, 0 to 1."""
        read = [one for one in said if readable(one)]
        scores = {one: _bounded(covered(one, known) * GROUNDED_WORDS) for one in said if one not in read}
        if read:
            vectors = await self._embedder.embed([*read, *known])
            nearest = (vectors[: len(read)] @ vectors[len(read) :].T).max(axis=1)
            scores |= {one: _bounded(float(near)) for one, near in zip(read, nearest, strict=True)}
        return [scores[one] for one in said]


class SimilarToQuestion:
    """The answer must be near to the question."""

    def __init__(self, embedder: Embedder, threshold: float = ANSWERS) -> None:
        self._embedder = embedder
        self._threshold = threshold

    async def grade(self, question: GradedAnswer) -> Grade:
        said = sentences_of(question.answer)[:MOST_SENTENCES]
        if not said:
            return Grade(False, 0.0, "the answer says nothing")
        texts = [*said, " ".join(said)]
        if readable(question.question) and readable(texts[-1]):
            vectors = await self._embedder.embed([question.question, *texts])
            score = _bounded(float((vectors[1:] @ vectors[0]).max()))
        else:
            score = _bounded(covered(question.question, texts) * ANSWERS_WORDS)
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


def _bounded(score: float) -> float:
    return max(0.0, min(1.0, score))


def _quoted(sentences: tuple[str, ...]) -> str:
    return "; ".join(f"“{sentence[:200]}”" for sentence in sentences[:5])
