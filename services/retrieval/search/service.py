"""Search: plan, embed if need be, ask the store, fuse, fetch."""

import time

from services.retrieval import metrics
from services.retrieval.embedder import Embedder
from services.retrieval.model import Candidates, Hit, Key, Probe, SearchRequest, SearchResult, Signal, Vector
from services.retrieval.names import collection_name
from services.retrieval.search.fusion import Fused
from services.retrieval.search.plan import Plan, plan
from services.retrieval.store.base import VectorStore


class Search:
    """Serves searches."""

    def __init__(self, store: VectorStore, embedder: Embedder) -> None:
        self._store = store
        self._embedder = embedder

    async def search(self, tenant: str, request: SearchRequest) -> SearchResult:
        """The passages that best answer the query, best first.

        Raises InvalidArgument, CollectionNotFound, EmbedderUnavailable, StoreUnavailable.
        """
        key = Key(tenant, collection_name(request.collection))
        planned = plan(request)
        started = time.perf_counter()
        vector = await self._embed(planned)
        embedded = time.perf_counter()
        with metrics.store_seconds("query"):
            hits, candidates = await self._find(key, planned, vector, request.include_embeddings)
        timings = {"store": time.perf_counter() - embedded}
        if vector is not None:
            timings["embed"] = embedded - started
        _observe(planned, request, hits, candidates)
        return SearchResult(
            hits=hits,
            script=planned.script.value,
            query_vector=vector if request.include_embeddings else None,
            timings=timings,
        )

    async def _embed(self, planned: Plan) -> Vector | None:
        if not planned.embed:
            return None
        with metrics.embed_seconds("query"):
            return await self._embedder.embed_query(planned.query)

    async def _find(
        self, key: Key, planned: Plan, vector: Vector | None, with_sentences: bool
    ) -> tuple[list[Hit], Candidates]:
        probe = Probe(vector, planned.lexical, planned.filter, planned.candidates)
        candidates = await self._store.candidates(key, probe)
        fused = Fused(candidates, planned.weights)
        best = fused.ranked[: planned.limit]
        fetched = await self._store.fetch(key, [passage_id for passage_id, _ in best], with_sentences)
        hits = [
            Hit(fetched[passage_id][0], score, fused.signals(passage_id), fetched[passage_id][1])
            for passage_id, score in best
            if passage_id in fetched
        ]
        return hits, candidates


def _observe(planned: Plan, request: SearchRequest, hits: list[Hit], candidates: Candidates) -> None:
    metrics.SEARCHES.labels(planned.script.value, request.mode.value).inc()
    metrics.CANDIDATES.observe(len({found for scored in candidates.found.values() for found, _ in scored}))
    if hits:
        metrics.TOP_SCORE.observe(hits[0].score)
    dense = candidates.found.get(Signal.DENSE)
    if dense:
        metrics.TOP_COSINE.observe(dense[0][1])
