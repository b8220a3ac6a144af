"""A conversation in its own words: the sentences that say most of it, without a model."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from services.llm.chat import Message, Role
from services.llm.tokens import estimate
from services.orchestrator.agents.loop.graders.sentences import claims_of, sentences_of
from services.orchestrator.rag.amounts import has_figure
from services.orchestrator.rag.quotes import sentence

LONGEST = 60
"""Tokens of a sentence; a longer one is a list or code rather."""
FIGURE, USER = 0.5, 0.25
"""What a figure counts, and that the user says it, beside words, of which the best sentences have about 1."""
SHORT = 4
"""So many words are added to a sentence's length, that short ones are not the best for that alone."""


@dataclass(frozen=True, slots=True)
class _Line:
    """Who says what."""

    role: str
    text: str

    @property
    def whole(self) -> str:
        return f"{self.role}: {self.text}"


def extract(known: str, messages: Sequence[Message], most: int) -> str:
    """The lines to keep, `most` tokens by estimate, in their order; `known` are those kept before, which compete with
    the new ones. What is said twice is kept as it was said last."""
    lines = _lines(known, messages)
    terms = [sentence(line.text).terms for line in lines]
    last = {words: number for number, words in enumerate(terms)}
    counts = Counter(word for number in last.values() for word in terms[number])
    scores = {number: _score(lines[number], words, counts) for words, number in last.items() if words}
    left, kept = most, list[int]()
    for number in sorted(scores, key=lambda number: -scores[number]):
        cost = estimate(lines[number].whole) + 1
        if cost <= left:
            kept.append(number)
            left -= cost
    return "\n".join(lines[number].whole for number in sorted(kept))


def _lines(known: str, messages: Sequence[Message]) -> list[_Line]:
    found = [_Line(role, text) for role, _, text in (line.partition(": ") for line in known.split("\n")) if text]
    for message in messages:
        if message.role is Role.USER:
            found += [_Line("user", text) for text in sentences_of(message.content)]
        elif message.role is Role.ASSISTANT:
            found += [_Line("assistant", text) for text in claims_of(message.content)]
    return [line for line in found if estimate(line.text) <= LONGEST]


def _score(line: _Line, words: frozenset[str], counts: Counter[str]) -> float:
    """The words that the conversation comes back to, for the sentence's length; figures; and the user's word."""
    shared = sum(math.log(1 + counts[word]) for word in words) / (len(words) + SHORT)
    return shared + FIGURE * has_figure(line.text) + USER * (line.role == "user")
