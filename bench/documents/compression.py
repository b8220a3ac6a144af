"""What a model would read of the passages found, whole and compressed to a part of their tokens: whether the answer is
still there. Beside it, the best passages whole until the budget is used up."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from bench.documents.asking import again
from bench.documents.questions import Question
from bench.documents.wording import holds
from bench.kit.figures import share
from bench.kit.report import Extra
from bench.load import rpc
from bench.load.turns import in_turn
from services.llm.tokens import estimate
from services.orchestrator.domain.passage import Found
from services.orchestrator.rag.compress import compress

PASSAGES = 8
SHARES = (0.75, 0.5, 0.35, 0.25, 0.15)
HEAD = ("tokens read", "questions", "tokens", "whole", "compressed", "cut off")


async def measure(client: rpc.MeshClient, collection: str, questions: Sequence[Question], concurrency: int) -> Extra:
    """Of the questions whose answer is among the first passages."""

    async def find(question: Question) -> Found:
        return await again(partial(client.found, collection, question.text, PASSAGES))

    found = dict(zip(questions, await in_turn(questions, find, concurrency), strict=True))
    answered = {question: one for question, one in found.items() if _answers(question, one)}
    return Extra(
        f"the answer is among what a model reads of {PASSAGES} passages; tokens by estimate, a question's",
        HEAD,
        [(f"{part:.0%}", _row(answered, part)) for part in SHARES],
    )


def _row(answered: Mapping[Question, Found], part: float) -> list[float]:
    def kept(read: Callable[[str, Found, int], Found]) -> tuple[float, float]:
        """The share of the questions, and tokens in the mean."""
        each = [(question, read(question.text, found, int(part * size(found)))) for question, found in answered.items()]
        return share([_answers(*one) for one in each]), sum(size(found) for _, found in each) / max(1, len(each))

    compressed, tokens = kept(compress)
    return [float(len(answered)), tokens, 1.0, compressed, kept(cut_off)[0]]


def size(found: Found) -> int:
    """Tokens of what is read."""
    return sum(estimate(passage.reading) for passage in found.passages)


def cut_off(_: str, found: Found, most: int) -> Found:
    """The best passages, as long as there is room."""
    left = most
    read = list[str]()
    for passage in found.passages:
        part = min(1.0, left / max(1, estimate(passage.text)))
        read.append(passage.text[: int(len(passage.text) * part)])
        left = max(0, left - estimate(passage.text))
    pairs = zip(found.passages, read, strict=True)
    return replace(found, passages=tuple(replace(passage, shown=text) for passage, text in pairs))


def _answers(question: Question, found: Found) -> bool:
    return any(
        passage.document_id in question.documents and holds(passage.reading, question.answers)
        for passage in found.passages
    )
