"""Search: plan, embed if need be, ask the store, weigh, fuse, fetch, score the sentences."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from services.retrieval import metrics
from services.retrieval.embedders import Embedders
from services.retrieval.errors import IndexRetired
from services.retrieval.language.words import identifier_vector
from services.retrieval.model import (
    Candidates,
    CollectionKey,
    Explanation,
    Hit,
    Index,
    SearchMode,
    SearchRequest,
    SearchResult,
    Signal,
    StoreQuery,
    Vector,
)
from services.retrieval.names import collection_name
from services.retrieval.search import exact, sentences
from services.retrieval.search.fusion import Fused, Ranked
from services.retrieval.search.plan import SearchPlan, plan, without_vector
from services.retrieval.search.queries import Queries
from services.retrieval.search.twins import Twins
from services.retrieval.search.weights import Weights, weigh
from services.retrieval.store.base import VectorStore
from services.runtime.breaker import Breaker
from services.runtime.embedders import EmbedderSpec

# Passages that are fetched at least where some of the first were twins of others.
REFILL = 4


class Search:
    """Serves searches."""

    def __init__(self, store: VectorStore, embedders: Embedders) -> None:
        self._store = store
        self._embedders = embedders
        self._queries = {name: Queries(embedder, Breaker()) for name, embedder in embedders.items()}
        metrics.DEGRADED.set_function(lambda: float(any(queries.gone for queries in self._queries.values())))

    async def search(self, tenant: str, request: SearchRequest) -> SearchResult:
        """The passages that best answer the query, best first. A hybrid search does without the embedder while it is
        gone, and says so.

        Raises InvalidArgument, CollectionNotFound, StoreUnavailable; in dense mode EmbedderUnavailable,
        EmbedderNotServed.
        """
        key = CollectionKey(tenant, collection_name(request.collection))
        try:
            return await self._search(await self._store.current(key), request)
        except IndexRetired:  # another generation took its place meanwhile
            return await self._search(await self._store.current(key), request)

    async def _search(self, index: Index, request: SearchRequest) -> SearchResult:
        embedder = self._embedders[index.embedder].spec
        planned = plan(request, embedder)
        started = time.perf_counter()
        vector = await self._embed(planned, request.mode, self._queries[index.embedder])
        degraded = planned.embed and vector is None
        if degraded:
            planned = without_vector(planned)
        embedded = time.perf_counter()
        with metrics.store_seconds("query"):
            ranking = await self._rank(index, embedder, planned, vector)
            hits = await self._fetch(index, embedder, ranking, planned, vector, request)
        timings = {"store": time.perf_counter() - embedded}
        if vector is not None:
            timings["embed"] = embedded - started
        _observe(planned, request, hits, ranking.candidates, degraded)
        return SearchResult(
            hits=hits,
            script=planned.script.value,
            query_vector=vector if request.include_embeddings else None,
            timings=timings,
            degraded=degraded,
            trust=None if vector is None else embedder.trust(planned.query),
            explanation=Explanation(
                language=planned.language,
                language_read=planned.read,
                weights=ranking.weights.by_signal,
                reason=ranking.weights.reason,
                identifiers=ranking.identifiers,
                unsupported=ranking.unsupported,
            ),
        )

    async def _embed(self, planned: SearchPlan, mode: SearchMode, queries: Queries) -> Vector | None:
        if not planned.embed:
            return None
        if mode is SearchMode.DENSE:
            return await queries.vector(planned.query)
        return await queries.vector_or_none(planned.query)

    async def _rank(
        self, index: Index, embedder: EmbedderSpec, planned: SearchPlan, vector: Vector | None
    ) -> "_Ranking":
        looked_for = [identifier_vector(identifier) for identifier in planned.identifiers]
        probe = StoreQuery(vector, planned.lexical, planned.filter, planned.candidates, looked_for)
        candidates = comparable(
            await self._store.candidates(index, probe), partial(embedder.worth, script=planned.script)
        )
        holders = exact.rare(planned.identifiers, candidates)
        if holders:
            ids = list(dict.fromkeys(found for held in holders.values() for found in held))
            passages = [passage for passage, _ in (await self._store.fetch(index, ids, False)).values()]
            candidates = exact.with_exact(candidates, holders, passages)
        weights = weigh(planned, candidates, embedder.lexical)
        fused = Fused(candidates, weights.by_signal)
        supported: Sequence[Ranked] = fused.ranked
        if planned.embed and planned.read and planned.lexical is not None:
            supported = [each for each in fused.ranked if fused.supported(each[0], embedder.unrelated)]
        return _Ranking(
            candidates=candidates,
            fused=fused,
            supported=supported,
            weights=weights,
            identifiers=[identifier.key for identifier in holders],
        )

    async def _fetch(
        self,
        index: Index,
        embedder: EmbedderSpec,
        ranking: "_Ranking",
        planned: SearchPlan,
        vector: Vector | None,
        request: SearchRequest,
    ) -> list[Hit]:
        ranked, limit = ranking.supported, planned.limit
        worth = partial(embedder.worth, script=planned.script)
        with_sentences = request.include_embeddings or request.include_sentences
        hits: list[Hit] = []
        twins = Twins()
        at = 0
        while at < len(ranked) and len(hits) < limit:
            best = ranked[at : at + max(limit - len(hits), REFILL if at else 0)]
            at += len(best)
            fetched = await self._store.fetch(index, [passage_id for passage_id, _ in best], with_sentences)
            for passage_id, score in best:
                if passage_id in fetched and not twins.seen(fetched[passage_id][0].text):
                    passage, own = fetched[passage_id]
                    embedded = own if request.include_embeddings else None
                    scored = sentences.score(own, vector, worth) if own and request.include_sentences else None
                    hits.append(Hit(passage, score, ranking.fused.signals(passage_id), embedded, scored))
        return hits[:limit]


@dataclass(frozen=True, slots=True)
class _Ranking:
    """What was found, weighed and fused. `supported`: the candidates that some signal supports, best first.
    `identifiers`: the rare ones of the query, by their keys."""

    candidates: Candidates
    fused: Fused
    supported: Sequence[Ranked]
    weights: Weights
    identifiers: Sequence[str]

    @property
    def unsupported(self) -> int:
        return len(self.fused.ranked) - len(self.supported)


def comparable(candidates: Candidates, worth: sentences.Worth) -> Candidates:
    """The same with cosines as all-MiniLM-L6-v2 would have them, which all weights and thresholds are for."""
    found, also = dict(candidates.found), dict(candidates.also)
    if Signal.DENSE in found:
        found[Signal.DENSE] = [(passage_id, worth(cosine)) for passage_id, cosine in found[Signal.DENSE]]
    if Signal.DENSE in also:
        also[Signal.DENSE] = {passage_id: worth(cosine) for passage_id, cosine in also[Signal.DENSE].items()}
    return replace(candidates, found=found, also=also)


def _observe(
    planned: SearchPlan, request: SearchRequest, hits: list[Hit], candidates: Candidates, degraded: bool
) -> None:
    metrics.SEARCHES.labels(planned.script.value, request.mode.value).inc()
    if degraded:
        metrics.DEGRADED_SEARCHES.inc()
    metrics.CANDIDATES.observe(len({found for scored in candidates.found.values() for found, _ in scored}))
    if hits:
        metrics.TOP_SCORE.observe(hits[0].score)
    dense = candidates.found.get(Signal.DENSE)
    if dense:
        metrics.TOP_COSINE.observe(dense[0][1])
