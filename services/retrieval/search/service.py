"""Search: plan, embed if need be, ask the store, fuse, fetch, score the sentences."""

import time
from functools import partial

from services.retrieval import metrics
from services.retrieval.embedders import Embedders
from services.retrieval.errors import IndexRetired
from services.retrieval.model import (
    Candidates,
    CollectionKey,
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
from services.retrieval.search import sentences
from services.retrieval.search.fusion import Fused
from services.retrieval.search.plan import SearchPlan, plan, without_vector
from services.retrieval.search.queries import Queries
from services.retrieval.search.twins import Twins
from services.retrieval.store.base import VectorStore
from services.runtime.breaker import Breaker

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
        planned = plan(request, embedder.languages)
        started = time.perf_counter()
        vector = await self._embed(planned, request.mode, self._queries[index.embedder])
        degraded = planned.embed and vector is None
        if degraded:
            planned = without_vector(planned)
        embedded = time.perf_counter()
        with metrics.store_seconds("query"):
            hits, candidates = await self._find(index, planned, vector, request)
        timings = {"store": time.perf_counter() - embedded}
        if vector is not None:
            timings["embed"] = embedded - started
        _observe(planned, request, hits, candidates, degraded)
        return SearchResult(
            hits=hits,
            script=planned.script.value,
            query_vector=vector if request.include_embeddings else None,
            timings=timings,
            degraded=degraded,
            trust=None if vector is None else embedder.trust(planned.query),
        )

    async def _embed(self, planned: SearchPlan, mode: SearchMode, queries: Queries) -> Vector | None:
        if not planned.embed:
            return None
        if mode is SearchMode.DENSE:
            return await queries.vector(planned.query)
        return await queries.vector_or_none(planned.query)

    async def _find(
        self, index: Index, planned: SearchPlan, vector: Vector | None, request: SearchRequest
    ) -> tuple[list[Hit], Candidates]:
        worth = partial(self._embedders[index.embedder].spec.worth, script=planned.script)
        probe = StoreQuery(vector, planned.lexical, planned.filter, planned.candidates)
        candidates = comparable(await self._store.candidates(index, probe), worth)
        fused = Fused(candidates, planned.weights)
        with_sentences = request.include_embeddings or request.include_sentences
        hits: list[Hit] = []
        twins = Twins()
        at = 0
        while at < len(fused.ranked) and len(hits) < planned.limit:
            best = fused.ranked[at : at + max(planned.limit - len(hits), REFILL if at else 0)]
            at += len(best)
            fetched = await self._store.fetch(index, [passage_id for passage_id, _ in best], with_sentences)
            for passage_id, score in best:
                if passage_id in fetched and not twins.seen(fetched[passage_id][0].text):
                    passage, own = fetched[passage_id]
                    embedded = own if request.include_embeddings else None
                    scored = sentences.score(own, vector, worth) if own and request.include_sentences else None
                    hits.append(Hit(passage, score, fused.signals(passage_id), embedded, scored))
        return hits[: planned.limit], candidates


def comparable(candidates: Candidates, worth: sentences.Worth) -> Candidates:
    """The same with cosines as all-MiniLM-L6-v2 would have them, which all weights and thresholds are for."""
    found, also = dict(candidates.found), dict(candidates.also)
    if Signal.DENSE in found:
        found[Signal.DENSE] = [(passage_id, worth(cosine)) for passage_id, cosine in found[Signal.DENSE]]
    if Signal.DENSE in also:
        also[Signal.DENSE] = {passage_id: worth(cosine) for passage_id, cosine in also[Signal.DENSE].items()}
    return Candidates(found, also)


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
