"""What a model reads of passages that are more than it is to read: their best sentences, each said once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from services.llm.tokens import estimate
from services.orchestrator.domain.passage import Found, Passage
from services.orchestrator.rag.quotes import sentence, sentence_scores
from services.orchestrator.rag.reading import led, passage_sentences, question_on

GAP = " … "
"""In the place of what is left out before, between and behind sentences."""
PER_GAP = 2
LONGEST_BETWEEN = 120
"""Characters between two sentences that belong to the second."""
PER_PASSAGE = 12
"""Tokens around a passage in a prompt: its number and its title."""


def compress(question: str, found: Found, most: int) -> Found:
    """The passages with what is to be read of them, `most` tokens by estimate; as they are where they are no more. The
    best sentence is always read, however long; a passage of which the sentences are not known is read whole where it
    fits."""
    if sum(map(_size, found.passages)) <= most:
        return found
    read, whole = _chosen(question, found, most)
    shown = (
        one if number in whole else replace(one, shown=_joined(one, read.get(number, [])))
        for number, one in enumerate(found.passages)
    )
    return replace(found, passages=tuple(shown))


@dataclass(frozen=True, slots=True)
class _Piece:
    """A sentence with what stands before it in its passage and is none, such as a sign or a number of its line."""

    passage: int
    start: int
    end: int
    lead: str

    def text(self, of: Passage) -> str:
        return led(self.lead, of.text[self.start : self.end].strip())


def _chosen(question: str, found: Found, most: int) -> tuple[dict[int, list[_Piece]], set[int]]:
    """The pieces to be read, by the number of their passage, in the order of the text; and the passages that are read
    whole. They are taken by their scores; one that says what a better one has said is left out."""
    sentences = passage_sentences(found)
    pieces = [piece for number, one in enumerate(found.passages) for piece in _pieces(number, one)]
    scores = sentence_scores(question_on(question, found, sentences, 1))
    said = set[frozenset[str]]()
    chosen = list[int]()
    opened = set[int]()
    left = most
    for place in np.argsort(-scores, kind="stable").tolist():
        piece = pieces[place]
        text = piece.text(found.passages[piece.passage])
        words = sentence(" ".join(text.split())).terms
        if words and words in said:
            continue
        cost = estimate(text) + PER_GAP + (0 if piece.passage in opened else PER_PASSAGE + PER_GAP)
        if chosen and cost > left:
            continue
        chosen.append(place)
        said.add(words)
        opened.add(piece.passage)
        left -= cost
    read: dict[int, list[_Piece]] = {}
    for place in sorted(chosen):
        read.setdefault(pieces[place].passage, []).append(pieces[place])
    whole = set[int]()
    for number, one in enumerate(found.passages):
        if not one.sentences and (cost := _size(one)) <= left:
            whole.add(number)
            left -= cost
    return read, whole


def _pieces(number: int, passage: Passage) -> Iterator[_Piece]:
    """One a sentence; the first begins with the passage, the last ends with it, as far as what is between is short."""
    at = 0
    for place, (span, lead) in enumerate(passage.led_sentences):
        start = at if span.start - at <= LONGEST_BETWEEN else span.start
        at = span.end
        if place == len(passage.sentences) - 1 and len(passage.text) - at <= LONGEST_BETWEEN:
            at = len(passage.text)
        yield _Piece(number, start, at, lead)


def _joined(passage: Passage, read: Sequence[_Piece]) -> str:
    """Pieces that follow on one another as the document has them, with a gap where something is left out."""
    if not read:
        return ""
    parts = list[str]()
    at = 0
    for piece in read:
        if passage.text[at : piece.start].strip():
            parts.append(GAP)
        elif parts:
            parts.append(_space(passage, piece.start))
        parts.append(piece.text(passage))
        at = piece.end
    rest = GAP if passage.text[at:].strip() else ""
    return "".join((*parts, rest)).strip()


def _space(passage: Passage, start: int) -> str:
    """What stands between a piece and the one before it."""
    text = passage.text[start:]
    return text[: len(text) - len(text.lstrip())]


def _size(passage: Passage) -> int:
    return estimate(passage.text) + PER_PASSAGE
