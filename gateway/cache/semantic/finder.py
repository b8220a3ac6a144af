"""Finds the answer to a question that means the same, and learns whether it was right."""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.cache import metrics
from gateway.cache.entry import CachedAnswer
from gateway.cache.policy import SemanticPolicy
from gateway.cache.question import Question
from gateway.cache.semantic.facts import Facts, conflict, facts_of
from gateway.cache.semantic.index import LONGEST_SAID, Known, Partition, QuestionIndex, Vector
from gateway.cache.semantic.verifier import Verifier
from services.runtime.errors import DomainError

Embed = Callable[[Sequence[str]], Awaitable[npt.NDArray[np.float32]]]
"""Gives the vectors of texts, as one request. Raises DomainError."""
SAME_ANSWER = 0.9
"""The cosine from which on two answers say the same, where their figures and names do."""
LONGEST_COMPARED = 1_000


@dataclass(frozen=True, slots=True)
class Alike:
    """An answer that is given for a question of the same meaning."""

    answer: CachedAnswer
    score: float


@dataclass(slots=True)
class Candidate:
    """The best one, which is not given this time: what it says is compared with what the model says."""

    known: Known
    score: float


@dataclass(slots=True)
class Lookup:
    """What a search has found: `alike`, or the means to keep the call's own answer and to compare it with another."""

    partition: Partition
    facts: Facts
    vector: Vector
    alike: Alike | None = None
    candidate: Candidate | None = None


Get = Callable[[str], Awaitable[CachedAnswer | None]]


class Finder:
    """`chance` draws from 0 to 1."""

    def __init__(self, embed: Embed, verifier: Verifier, chance: Callable[[], float] = random.random) -> None:
        self._embed = embed
        self._verifier = verifier
        self._chance = chance
        self.index = QuestionIndex()

    async def find(self, tenant: str, question: Question, policy: SemanticPolicy, get: Get) -> Lookup | None:
        """Look for a question that means the same; None for one that is not compared so. `get` gives the answer of a
        key that still holds. Raises AnswersGone."""
        facts = facts_of(question.text)
        floor = self._verifier.floors.get(facts.language)
        if floor is None or not facts.content or not facts.seen:
            return None
        try:
            [vector] = await self._embed([question.text])
        except DomainError:
            metrics.SEMANTIC.labels("no_embedder").inc()
            return None
        own = self.index.of(tenant, question.partition, policy.error_budget)
        lookup = Lookup(own, facts, vector)
        if own.budget.spent:
            metrics.SEMANTIC.labels("budget_spent").inc()
            return lookup
        for score, known in self._scored(own, lookup, policy):
            if score < max(floor, known.threshold.least):
                break
            if self._chance() < own.budget.explore(policy.explore):
                lookup.candidate = Candidate(known, score)
                return lookup
            if (answer := await get(known.key)) is not None:
                lookup.alike = Alike(answer, score)
                return lookup
        return lookup

    def keep(self, lookup: Lookup, answer: CachedAnswer, said: str) -> None:
        """A question whose answer is kept now, for those that mean the same."""
        known = Known(answer.key, lookup.facts, said[:LONGEST_SAID], answer.expires)
        lookup.partition.add(known, lookup.vector)

    async def compare(self, lookup: Lookup, said: str) -> bool | None:
        """Whether the answer that would have been given says what the model says; None where that cannot be told."""
        candidate = lookup.candidate
        if candidate is None:
            return None
        right = await self._agree(candidate.known.said, said)
        if right is None:
            return None
        candidate.known.threshold.learn(candidate.score, right)
        lookup.partition.budget.learn(right)
        if not right:
            metrics.SEMANTIC.labels("wrong").inc()
        return right

    def _scored(self, own: Partition, lookup: Lookup, policy: SemanticPolicy) -> list[tuple[float, Known]]:
        """The candidates that pass every gate, the likeliest first."""
        scored: list[tuple[float, Known]] = []
        for cosine, known in own.nearest(lookup.vector, policy.min_similarity):
            if gate := conflict(lookup.facts, known.facts):
                metrics.GATES.labels(gate).inc()
                continue
            scored.append((self._verifier.score(lookup.facts, known.facts, cosine), known))
        return sorted(scored, key=lambda each: -each[0])

    async def _agree(self, one: str, other: str) -> bool | None:
        if " ".join(one.split()).lower() == " ".join(other[:LONGEST_SAID].split()).lower():
            return True
        mine, yours = facts_of(one), facts_of(other)
        if (mine.numbers, mine.negations % 2) != (yours.numbers, yours.negations % 2):
            return False
        try:
            left, right = await self._embed([one[:LONGEST_COMPARED], other[:LONGEST_COMPARED]])
        except DomainError:
            return None
        return float(left @ right) >= SAME_ANSWER
