"""Judges the questions of one route: the classifier where it can, the heuristic where not; and sometimes explores."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from services.llm.catalogue.route import DifficultySpec
from services.llm.difficulty import classifier
from services.llm.difficulty.classifier import DEFAULT_COST, Classifier
from services.llm.difficulty.figures import figures_of, question_of
from services.llm.needs import Needs
from services.llm.route_report import Difficulty, JudgedBy
from services.runtime.errors import DomainError

DEFAULT_THRESHOLD = 0.4
REMEMBERED = 2_000
"""Questions whose difficulty is not found out again, so that the steps of a run keep to one target."""
EPOCH_SECONDS = 3600
"""For so long the same question is explored or is not."""


class TextEmbedder(Protocol):
    """Embeds by the `embedder` of that name, in a short time of its own."""

    async def embed(self, text: str, embedder: str) -> npt.NDArray[np.float32]:
        """float32 [384], length one. Raises DomainError."""
        ...


@dataclass(frozen=True, slots=True)
class _Judged:
    """`worth`: what is held against the threshold, which is the difficulty itself where the route names one."""

    difficulty: Difficulty
    worth: float


class DifficultyJudge:
    """Of one route. `classifiers` by tenant, "" for all others; `clock` in seconds since 1970."""

    def __init__(
        self,
        route: str,
        spec: DifficultySpec,
        classifiers: dict[str, Classifier],
        embedder: TextEmbedder | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._route = route
        self._spec = spec
        self._classifiers = classifiers
        self._embedder = embedder
        self._clock = clock
        self._known: OrderedDict[bytes, _Judged] = OrderedDict()
        self._thresholds = {tenant: _thresholds(spec, one) for tenant, one in classifiers.items()}

    async def prefer(self, needs: Needs) -> tuple[Needs, Difficulty]:
        """The needs with the targets in the order in which they are asked, and why."""
        question = question_of(needs.said())
        key = hashlib.blake2b(f"{needs.tenant}\0{question}".encode(errors="replace"), digest_size=16).digest()
        tenant = needs.tenant if needs.tenant in self._classifiers else ""
        found = self._known.get(key) or await self._judged(question, tenant)
        judged = found.difficulty
        if judged.by is JudgedBy.CLASSIFIER:
            self._remember(key, found)
        large = bool(judged.abstained) or found.worth > self._threshold(tenant, judged.by)
        if question and self._draw(key) < self._spec.explore:
            large, judged = not large, replace(judged, explored=True)
        prefer = (self._spec.large, self._spec.small) if large else (self._spec.small, self._spec.large)
        return replace(needs, prefer=prefer), judged

    async def _judged(self, question: str, tenant: str) -> _Judged:
        """By the classifier, or by the heuristic where there is none or no embedder answers."""
        figures = figures_of(question)
        by_heuristic = _Judged(Difficulty(figures.difficulty, JudgedBy.HEURISTIC), figures.difficulty)
        if not question:
            return _Judged(Difficulty(1.0, JudgedBy.HEURISTIC, "no_text"), 1.0)
        own = self._classifiers.get(tenant)
        if own is None or self._embedder is None:
            return by_heuristic
        try:
            vector = await self._embedder.embed(question, own.embedder)
        except DomainError:
            return by_heuristic
        estimate = own.estimate(vector[None], np.array([figures.row], np.float32))
        [abstained] = own.abstains(estimate)
        difficulty = Difficulty(float(estimate.difficulty[0]), JudgedBy.CLASSIFIER, abstained)
        return _Judged(difficulty, difficulty.value if self._spec.threshold is not None else float(estimate.worth[0]))

    def _threshold(self, tenant: str, by: JudgedBy) -> float:
        own = self._thresholds.get(tenant)
        if own is not None:
            return own[by]
        return DEFAULT_THRESHOLD if self._spec.threshold is None else self._spec.threshold

    def _remember(self, key: bytes, judged: _Judged) -> None:
        self._known[key] = judged
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _draw(self, key: bytes) -> float:
        """0 to 1, the same for a question in all processes, so that the steps of a run are not torn apart."""
        epoch = int(self._clock() // EPOCH_SECONDS)
        drawn = hashlib.blake2b(key + f"{self._route}\0{epoch}".encode(), digest_size=8).digest()
        return int.from_bytes(drawn, "big") / 2**64


def judge_of(route: str, spec: DifficultySpec, embedder: TextEmbedder | None) -> DifficultyJudge:
    """With the classifiers of its files. Raises BadClassifier."""
    files = {**({"": spec.model} if spec.model else {}), **spec.tenants}
    classifiers = {tenant: classifier.load(file, spec.small, spec.large) for tenant, file in files.items()}
    return DifficultyJudge(route, spec, classifiers, embedder)


def _thresholds(spec: DifficultySpec, own: Classifier) -> dict[JudgedBy, float]:
    """Of the classifier, and of the heuristic that stands in for it: they cost the same."""
    if spec.threshold is not None:
        return dict.fromkeys(JudgedBy, spec.threshold)
    cost = DEFAULT_COST if spec.cost is None else spec.cost
    return {
        JudgedBy.CLASSIFIER: own.threshold(cost),
        JudgedBy.HEURISTIC: own.threshold(cost, heuristic=True),
    }
