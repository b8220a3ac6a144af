"""Search: plan, embed if need be, ask the store, weigh, fuse, rerank if asked to, fetch, score the sentences."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from services.retrieval import metrics
from services.retrieval.embedders import Embedders
from services.retrieval.errors import IndexRetired
from services.retrieval.language.words import identifier_vector
from services.retrieval.model import (
    Caller,
    Candidates,
    CollectionKey,
    Explanation,
    Hit,
    Index,
    Passage,
    SearchMode,
    SearchRequest,
    SearchResult,
    Sentences,
    SentenceScores,
    Signal,
    StoreQuery,
    Vector,
)
from services.retrieval.names import collection_name
from services.retrieval.reranker import Reranker
from services.retrieval.search import exact, reading, sentences
from services.retrieval.search.fusion import Fused, Ranked
from services.retrieval.search.plan import SearchPlan, plan, without_vector
from services.retrieval.search.queries import Queries
from services.retrieval.search.reading import Read
from services.retrieval.search.reranking import Reranking
from services.retrieval.search.twins import Twins
from services.retrieval.search.weights import Weights, weigh
from services.retrieval.store.base import VectorStore
from services.runtime.breaker import Breaker
from services.runtime.embedders import EmbedderSpec

# Passages that are fetched at least where some of the first were twins of others.
REFILL = 4
UNREAD = "the reranker does not read its language"


class Search:
    """Serves searches."""

    def __init__(self, store: VectorStore, embedders: Embedders, reranker: Reranker) -> None:
        self._store = store
        self._embedders = embedders
        self._queries = {name: Queries(embedder, Breaker()) for name, embedder in embedders.items()}
        self._reranking = Reranking(reranker, Breaker())
        metrics.RERANKER_GONE.set_function(lambda: float(self._reranking.gone))
        metrics.DEGRADED.set_function(lambda: float(any(queries.gone for queries in self._queries.values())))

    async def search(self, caller: Caller, request: SearchRequest) -> SearchResult:
        """The passages that the caller may read and that best answer the query, best first. A hybrid search does
        without the embedder while it is gone, and any search without the reranker, and says so.

        Raises InvalidArgument, CollectionNotFound, StoreUnavailable; in dense mode EmbedderUnavailable,
        EmbedderNotServed.
        """
        key = CollectionKey(caller.tenant, collection_name(request.collection))
        request = replace(request, filter=replace(request.filter, groups=caller.groups))
        try:
            return await self._search(await self._store.current(key), request)
        except IndexRetired:  # another generation took its place meanwhile
            return await self._search(await self._store.current(key), request)

    async def _search(self, index: Index, request: SearchRequest) -> SearchResult:
        embedder = self._embedders[index.embedder].spec
        planned = plan(request, embedder)
        unread = planned.rerank > 0 and not self._reranking.reads(planned)
        if unread:
            planned = replace(planned, rerank=0)
        started = time.perf_counter()
        vector = await self._embed(planned, request.mode, self._queries[index.embedder])
        degraded = planned.embed and vector is None
        if degraded:
            planned = without_vector(planned)
        embedded = time.perf_counter()
        with metrics.store_seconds("query"):
            ranking = await self._rank(index, embedder, planned, vector)
            ranking, read = await self._read(index, embedder, ranking, planned, vector)
            best = await self._best(index, ranking.supported, planned)
        ranked = time.perf_counter()
        scores = await self._reranking.scores_or_none(planned.query, best) if best else {}
        reranked = time.perf_counter()
        if scores:
            ranking = _ranked(ranking.scored(Signal.RERANK, scores), ranking.identifiers, embedder, planned)
        with metrics.store_seconds("query"):
            hits = await self._fetch(index, embedder, ranking, planned, vector, request, read)
        timings = {"store": time.perf_counter() - reranked + ranked - embedded}
        if vector is not None:
            timings["embed"] = embedded - started
        if best:
            timings["rerank"] = reranked - ranked
        _observe(planned, request, hits, ranking.candidates, degraded, scores is None)
        return SearchResult(
            hits=hits,
            script=planned.script.value,
            query_vector=vector if request.include_embeddings else None,
            timings=timings,
            degraded=degraded,
            trust=None if vector is None else embedder.trust(planned.query),
            not_reranked=scores is None,
            explanation=Explanation(
                language=planned.language,
                language_read=planned.read,
                weights=ranking.weights.by_signal,
                reason=f"{ranking.weights.reason}; {UNREAD}" if unread else ranking.weights.reason,
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
        return _ranked(candidates, [identifier.key for identifier in holders], embedder, planned)

    async def _read(
        self, index: Index, embedder: EmbedderSpec, ranking: "_Ranking", planned: SearchPlan, vector: Vector | None
    ) -> tuple["_Ranking", dict[str, Read]]:
        """The best candidates ranked anew by what they say, and the passages that were fetched for that."""
        if vector is None or not reading.can_read(planned) or len(ranking.supported) < 2:
            return ranking, {}
        ids = [passage_id for passage_id, _ in ranking.supported[: reading.DEPTH]]
        worth = partial(embedder.worth, script=planned.script)
        read = await self._open(index, ids, True, partial(sentences.score, query=vector, worth=worth))
        scores = reading.score(planned, read)
        return _ranked(ranking.scored(Signal.READING, scores), ranking.identifiers, embedder, planned), read

    async def _open(
        self, index: Index, ids: Sequence[str], with_sentences: bool, scored: Callable[[Sentences], SentenceScores]
    ) -> dict[str, Read]:
        """Those of the passages that are there."""
        fetched = await self._store.fetch(index, ids, with_sentences)
        return {one: Read(passage, own, scored(own) if own else None) for one, (passage, own) in fetched.items()}

    async def _best(self, index: Index, ranked: Sequence[Ranked], planned: SearchPlan) -> list[Passage]:
        """The passages that are to be reranked, best first."""
        if not planned.rerank:
            return []
        ids = [passage_id for passage_id, _ in ranked[: planned.rerank]]
        fetched = await self._store.fetch(index, ids, False)
        return [fetched[passage_id][0] for passage_id in ids if passage_id in fetched]

    async def _fetch(
        self,
        index: Index,
        embedder: EmbedderSpec,
        ranking: "_Ranking",
        planned: SearchPlan,
        vector: Vector | None,
        request: SearchRequest,
        read: dict[str, Read],
    ) -> list[Hit]:
        """The first hits, of which some passages are `read` already."""
        ranked, limit = ranking.supported, planned.limit
        worth = partial(embedder.worth, script=planned.script)
        with_sentences = request.include_embeddings or request.include_sentences
        hits: list[Hit] = []
        twins = Twins()
        at = 0
        while at < len(ranked) and len(hits) < limit:
            best = ranked[at : at + max(limit - len(hits), REFILL if at else 0)]
            at += len(best)
            missing = [passage_id for passage_id, _ in best if passage_id not in read]
            if missing:
                score_of = partial(sentences.score, query=vector, worth=worth)
                read = read | await self._open(index, missing, with_sentences, score_of)
            for passage_id, score in best:
                if passage_id in read and not twins.seen(read[passage_id].passage.text):
                    passage, own, near = read[passage_id]
                    embedded, scored = request.include_embeddings, request.include_sentences
                    signals = ranking.fused.signals(passage_id)
                    hits.append(Hit(passage, score, signals, own if embedded else None, near if scored else None))
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

    def scored(self, signal: Signal, scores: Mapping[str, float]) -> Candidates:
        """The candidates with what one more signal says of some."""
        ranked = sorted(scores.items(), key=lambda each: (-each[1], each[0]))
        return replace(self.candidates, found={**self.candidates.found, signal: ranked})


def _ranked(
    candidates: Candidates, identifiers: Sequence[str], embedder: EmbedderSpec, planned: SearchPlan
) -> _Ranking:
    """The candidates weighed and fused."""
    weights = weigh(planned, candidates, embedder.lexical)
    fused = Fused(candidates, weights.by_signal)
    supported: Sequence[Ranked] = fused.ranked
    if planned.embed and planned.read and planned.lexical is not None:
        supported = [each for each in fused.ranked if fused.supported(each[0], embedder.unrelated)]
    return _Ranking(candidates, fused, supported, weights, identifiers)


def comparable(candidates: Candidates, worth: sentences.Worth) -> Candidates:
    """The same with cosines as all-MiniLM-L6-v2 would have them, which all weights and thresholds are for."""
    found, also = dict(candidates.found), dict(candidates.also)
    if Signal.DENSE in found:
        found[Signal.DENSE] = [(passage_id, worth(cosine)) for passage_id, cosine in found[Signal.DENSE]]
    if Signal.DENSE in also:
        also[Signal.DENSE] = {passage_id: worth(cosine) for passage_id, cosine in also[Signal.DENSE].items()}
    return replace(candidates, found=found, also=also)


def _observe(
    planned: SearchPlan,
    request: SearchRequest,
    hits: list[Hit],
    candidates: Candidates,
    degraded: bool,
    not_reranked: bool,
) -> None:
    metrics.SEARCHES.labels(planned.script.value, request.mode.value).inc()
    if degraded:
        metrics.DEGRADED_SEARCHES.inc()
    if not_reranked:
        metrics.NOT_RERANKED.inc()
    metrics.CANDIDATES.observe(len({found for scored in candidates.found.values() for found, _ in scored}))
    if hits:
        metrics.TOP_SCORE.observe(hits[0].score)
    dense = candidates.found.get(Signal.DENSE)
    if dense:
        metrics.TOP_COSINE.observe(dense[0][1])
