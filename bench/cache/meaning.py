"""How often the semantic cache gives an answer where it should, and where it should not, on held-out pairs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from bench.cache.fit import SPEAKS, vectors
from bench.cache.pairs import HELD_OUT, Pair, pairs
from bench.kit.figures import Bound, Goal
from bench.kit.report import Extra
from bench.peers import gptcache
from gateway.cache.semantic import verifier
from gateway.cache.semantic.facts import conflict, facts_of
from gateway.cache.semantic.learning import interval
from services.models import embedders
from services.models.weights import WeightsNotFound

LEAST_HITS, MOST_FALSE = 0.5, 0.01
COLUMNS = ("embedder, language, cache", "hit rate of paraphrases", "false of hits", "from", "to", "hits", "false")


@dataclass(frozen=True, slots=True)
class Outcome:
    """`hit` of `same` paraphrases, and of `others`, near misses, `false`."""

    same: int
    hit: int
    false: int

    @property
    def rate(self) -> float:
        return self.hit / self.same

    @property
    def share(self) -> float:
        return self.false / max(1, self.hit + self.false)

    @property
    def row(self) -> Sequence[float]:
        low, high = interval(self.false, self.hit + self.false)
        return self.rate, self.share, low, high, float(self.hit + self.false), float(self.false)


Vectors = Mapping[str, npt.NDArray[np.float32]]


def measure(say: Callable[[str], None], peer: bool) -> tuple[Extra, list[Goal]]:
    """Each embedder in each language that it speaks, beside GPTCache with the same vectors. Raises BenchError."""
    rows: list[tuple[str, Sequence[float]]] = []
    goals: list[Goal] = []
    for embedder, languages in SPEAKS.items():
        try:
            encoder = embedders.load(embedder, "query")
        except WeightsNotFound as error:
            say(f"{embedder} is left out: {error}")
            continue
        for language in languages:
            wanted = list(pairs(HELD_OUT, language))
            own = vectors(encoder, (text for pair in wanted for text in pair[:2]))
            name = f"{embedder}, {language}"
            found = _outcome(wanted, _ours(embedder, language, wanted, own))
            say(f"{name}: hit rate {found.rate:.3f}, false {found.false} of {found.hit + found.false}")
            rows.append((f"{name}, Headworks", found.row))
            if peer:
                rows.append((f"{name}, GPTCache", _outcome(wanted, _theirs(wanted, own, say)).row))
            goals.append(Goal(f"hit rate of paraphrases, {name}", found.rate, Bound.AT_LEAST, LEAST_HITS))
            goals.append(Goal(f"false hits of hits, {name}", found.share, Bound.AT_MOST, MOST_FALSE))
    return Extra("answers given by meaning, held-out questions", COLUMNS, rows), goals


def _ours(embedder: str, language: str, wanted: Sequence[Pair], own: Vectors) -> list[bool]:
    judge = verifier.read(embedder)
    if judge is None:
        raise LookupError(embedder)
    given = []
    for pair in wanted:
        one, other = facts_of(pair.one), facts_of(pair.other)
        cosine = float(own[pair.one] @ own[pair.other])
        given.append(not conflict(other, one) and judge.score(other, one, cosine) >= judge.floors[language])
    return given


def _theirs(wanted: Sequence[Pair], own: Vectors, say: Callable[[str], None]) -> list[bool]:
    ordered = sorted(range(len(wanted)), key=lambda at: wanted[at].one)
    listed = [list(places) for _, places in groupby(ordered, key=lambda at: wanted[at].one)]
    asked = [(wanted[places[0]].one, [wanted[at].other for at in places]) for places in listed]
    answered = gptcache.hits({text: vector.tolist() for text, vector in own.items()}, asked, say)
    given = [False] * len(wanted)
    for places, hits in zip(listed, answered, strict=True):
        for at, hit in zip(places, hits, strict=True):
            given[at] = hit
    return given


def _outcome(wanted: Sequence[Pair], given: Sequence[bool]) -> Outcome:
    hit = sum(each and pair.same for pair, each in zip(wanted, given, strict=True))
    false = sum(each and not pair.same for pair, each in zip(wanted, given, strict=True))
    return Outcome(sum(pair.same for pair in wanted), hit, false)
