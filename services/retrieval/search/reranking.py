"""The best candidates read again, with the query: one more signal, from a model that a search can do without."""

from collections.abc import Mapping, Sequence
from functools import partial

from services.retrieval import metrics
from services.retrieval.language.fields import head_of
from services.retrieval.model import Passage
from services.retrieval.reranker import Reranker
from services.retrieval.search.optional import Optional
from services.retrieval.search.plan import SearchPlan
from services.retrieval.search.twins import Twins
from services.runtime.breaker import Breaker
from services.runtime.language.detect import UNKNOWN
from services.runtime.language.script import Script
from services.runtime.reranker import RERANKER

Scores = Mapping[str, float]


class Reranking:
    """Scores passages behind a breaker, as the embedder read them: with what stands above each."""

    def __init__(self, reranker: Reranker, breaker: Breaker) -> None:
        self._reranker = reranker
        self._model: Optional[Sequence[float]] = Optional("the reranker", RERANKER, "hits stay in their order", breaker)

    @property
    def gone(self) -> bool:
        """Whether the reranker is taken to be gone."""
        return self._model.gone

    def reads(self, planned: SearchPlan) -> bool:
        """Whether the reranker reads the query's language. Latin letters of no certain language, such as names, it
        does."""
        languages = self._reranker.languages
        named = planned.script is Script.LATIN and planned.language == UNKNOWN
        return not languages or planned.language in languages or named

    async def scores_or_none(self, query: str, passages: Sequence[Passage]) -> Scores | None:
        """The passages' scores by their ids, without those of twins, of which one is ranked; None while the reranker
        does not answer, at once once that is known."""
        twins = Twins()
        alone = [passage for passage in passages if not twins.seen(passage.text)]
        texts = [head_of(passage) + passage.text for passage in alone]
        found = await self._model.result_or_none(partial(self._scores, query, texts))
        return None if found is None else {passage.id: score for passage, score in zip(alone, found, strict=True)}

    async def _scores(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        with metrics.rerank_seconds():
            return await self._reranker.scores(query, texts)
