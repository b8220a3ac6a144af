"""What a search and a run came to, held against a question's answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.documents.questions import Question
from bench.documents.wording import holds
from bench.load.rpc import Passage, Quote, RunAnswer


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one question went. `rank` is the place, from 1, of the first passage that answers; 0 for none. A second quote
    is wrong where it holds no answer and is from another section than all passages that do."""

    question: Question
    rank: int = 0
    first_passage: bool = False
    first_quote: bool = False
    any_quote: bool = False
    second_given: bool = False
    second_wrong: bool = False
    declined: bool = False


def judge(question: Question, found: Sequence[Passage], run: RunAnswer, passages: Sequence[Passage]) -> Verdict:
    """`found` are the passages of a search, best first; `passages` all those of the question's documents."""
    answering = [place for place, passage in enumerate(found, start=1) if answers(question, passage)]
    quotes = [_quoted(question, quote) for quote in run.citations]
    return Verdict(
        question=question,
        rank=answering[0] if answering else 0,
        first_passage=bool(found) and holds(found[0].text, question.answers),
        first_quote=quotes[:1] == [True],
        any_quote=any(quotes),
        second_given=len(quotes) > 1,
        second_wrong=_second_wrong(question, run, passages),
        declined=run.declined,
    )


def _quoted(question: Question, quote: Quote) -> bool:
    return quote.document_id in question.documents and holds(quote.text, question.answers)


def _second_wrong(question: Question, run: RunAnswer, passages: Sequence[Passage]) -> bool:
    if len(run.citations) < 2 or holds(run.citations[1].text, question.answers):
        return False
    sections = {(passage.document_id, passage.headings) for passage in passages if answers(question, passage)}
    own = next((passage for passage in passages if passage.id == run.citations[1].passage_id), None)
    return own is None or (own.document_id, own.headings) not in sections


def answers(question: Question, passage: Passage) -> bool:
    """Whether a passage is of a document that answers, and holds an answer."""
    return passage.document_id in question.documents and holds(passage.text, question.answers)
