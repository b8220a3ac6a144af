"""What a model reads of passages that are more than it is to read: their best sentences, each said once."""

from dataclasses import replace

import numpy as np

from services.llm.tokens import estimate
from services.orchestrator.domain.passage import Found, Passage
from services.orchestrator.rag.quotes import sentence, sentence_scores
from services.orchestrator.rag.reading import PassageSentence, led, passage_sentences, question_on

GAP = " … "
"""In the place of what is left out between two sentences."""
PER_PASSAGE = 12
"""Tokens around a passage in a prompt: its number and its title."""


def compress(question: str, found: Found, most: int) -> Found:
    """The passages with what is to be read of them, `most` tokens by estimate; as they are where they are no more. The
    best sentence is always read, however long; a passage of which the sentences are not known is read whole where it
    fits."""
    if sum(map(_size, found.passages)) <= most:
        return found
    read = _chosen(question, found, most)
    return replace(found, passages=tuple(
        replace(one, shown=_joined(one, read.get(number, []))) for number, one in enumerate(found.passages)
    ))  # fmt: skip


def _chosen(question: str, found: Found, most: int) -> dict[int, list[PassageSentence]]:
    """The sentences to be read, by the number of their passage, in the order of the text. They are taken by their
    scores; one that says what a better one has said is left out."""
    sentences = passage_sentences(found)
    passage = [number for number, one in enumerate(found.passages) for _ in one.sentences]
    scores = sentence_scores(question_on(question, found, sentences, 1))
    said = set[frozenset[str]]()
    chosen = list[int]()
    opened = set[int]()
    left = most
    for place in np.argsort(-scores, kind="stable").tolist():
        words = sentence(led(sentences[place].lead, sentences[place].text)).terms
        if words and words in said:
            continue
        opening = 0 if passage[place] in opened else PER_PASSAGE
        cost = estimate(sentences[place].raw) + opening
        if chosen and cost > left:
            continue
        chosen.append(place)
        said.add(words)
        opened.add(passage[place])
        left -= cost
    read: dict[int, list[PassageSentence]] = {}
    for place in sorted(chosen):
        read.setdefault(passage[place], []).append(sentences[place])
    for number, one in enumerate(found.passages):
        if not one.sentences and (cost := _size(one)) <= left:
            read[number] = []
            left -= cost
    return read


def _joined(passage: Passage, read: list[PassageSentence]) -> str:
    """Sentences that follow on one another as the document has them, with a gap where something is left out."""
    if not read:
        return ""
    parts = list[str]()
    at = 0
    for one in read:
        between = passage.text[at : one.span.start]
        parts.append(
            (between if parts and not between.strip() else GAP if parts else "")
            + led(one.lead, passage.text[one.span.start : one.span.end])
        )
        at = one.span.end
    return "".join(parts)


def _size(passage: Passage) -> int:
    return estimate(passage.text) + PER_PASSAGE
